"""`renova demo`: a whole cloud for some two minutes, one server, its rebuilds, and a proof of each.

`story` tells it in order and `acts` are its parts, with `images`; `cloud` is what it runs on, `client` the
user, `comparison` the judge.
"""
