"""`make guest`: a person logs in to a Debian server, rebuilds it, logs in and goes back; all of it proved.

`story` is what happens and what has to hold, `login` the SSH client of that person, `checks` the account. The
cloud, its client and its progress are those of the demo.
"""
