"""`renova demo`: a whole cloud for some two minutes, one server, one rebuild, and a proof that it was real.

`story` tells it in order; `cloud` is what it runs on, `client` the user, `comparison` the judge.
"""
