# The part of the QEMU guest agent protocol that a compute service needs: one JSON object in, one line out.
# https://www.qemu.org/docs/master/interop/qemu-ga-ref.html
# A request ends where its braces balance, as in qemu-ga, whether a newline follows or not; the byte 0xFF throws away
# what came before it.
BEGIN { RS = "}" }
{
    request = request $0 "}"
    sub(/^.*\377/, "", request)
    bare = request
    gsub(/"([^"\\]|\\.)*"/, "", bare)
    if (bare ~ /"/ || gsub(/[{]/, "", bare) > gsub(/[}]/, "", bare))
        next
    answer(request)
    fflush()
    request = ""
}

function field(text, name, pattern) {
    if (!match(text, "\"" name "\"[ \t\r\n]*:[ \t\r\n]*" pattern))
        return ""
    text = substr(text, RSTART, RLENGTH)
    sub(/^"[^"]*"[ \t\r\n]*:[ \t\r\n]*/, "", text)
    gsub(/"/, "", text)
    return text
}

function answer(request,    command, id) {
    command = field(request, "execute", "\"[^\"]*\"")
    id = field(request, "id", "-?[0-9]+")
    if (command == "guest-ping")
        print "{\"return\": {}}"
    else if (command == "guest-sync" && id != "")
        print "{\"return\": " id "}"
    else if (command == "guest-sync-delimited" && id != "")
        printf "\377{\"return\": %s}\n", id
    else if (command == "guest-info")
        print "{\"return\": {\"version\": \"7.2.0\", \"supported_commands\": [" supported() "]}}"
    else if (command == "guest-set-user-password")
        set_password(field(request, "username", "\"[^\"]*\""), field(request, "password", "\"[^\"]*\""))
    else if (command == "guest-shutdown")
        # Success has no answer: the guest is going away.
        shut_down(field(request, "mode", "\"[^\"]*\""))
    else if (command == "")
        print "{\"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input lacks member 'execute'\"}}"
    else
        print "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command " command " has not been found\"}}"
}

function supported(    names, count, i, list) {
    count = split("guest-info guest-ping guest-set-user-password guest-shutdown guest-sync guest-sync-delimited", names, " ")
    for (i = 1; i <= count; i++)
        list = list (i > 1 ? ", " : "") "{\"name\": \"" names[i] "\", \"enabled\": true, \"success-response\": " \
            (names[i] == "guest-shutdown" ? "false" : "true") "}"
    return list
}

# Nobody logs in here, so there is no password to set: what was sent is told on the console, as its hash.
function set_password(user, password) {
    # Neither can end the quotes below: a name has letters, digits, _ and -, and the password is base64.
    if (user ~ /^[a-z_][a-z0-9_-]*$/ && password ~ /^[A-Za-z0-9+\/=]*$/) {
        system("echo \"guest password: " user " $(echo '" password "' | base64 -d | sha256sum)\" >/dev/console")
        print "{\"return\": {}}"
    } else
        print "{\"error\": {\"class\": \"GenericError\", \"desc\": \"child process has failed to set user password\"}}"
}

function shut_down(mode) {
    if (mode == "reboot")
        system("sync; reboot -f")
    else
        system("/sbin/power-off")
}
