# Prints every string, number and word of a JSON document as path<TAB>value: "/meta/color<TAB>blue", "/links/0/mtu<TAB>1500".
# Of the escapes in strings \" \\ and \/ are undone; the rest stays as it was written, so that a value is always one line.
{ text = text $0 "\n" }
END { value("") }

function token(    found) {
    sub(/^[ \t\r\n]+/, "", text)
    if (!match(text, /^("([^"\\]|\\.)*"|[-+.A-Za-z0-9]+|[][{},:])/))
        exit 1
    found = substr(text, 1, RLENGTH)
    text = substr(text, RLENGTH + 1)
    return found
}

function plain(string) {
    if (string ~ /^"/)
        string = substr(string, 2, length(string) - 2)
    return gensub(/\\(["\\\/])/, "\\1", "g", string)
}

function value(path,    first, key, count) {
    first = token()
    if (first == "{")
        while ((key = token()) != "}") {
            if (key == ",")
                key = token()
            token()
            value(path "/" plain(key))
        }
    else if (first == "[")
        while (text !~ /^[ \t\r\n]*]/) {
            if (text ~ /^[ \t\r\n]*,/)
                token()
            value(path "/" count++ + 0)
        }
    else
        print path "\t" plain(first)
    if (first == "[")
        token()
}
