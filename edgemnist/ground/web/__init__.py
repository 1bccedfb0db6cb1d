"""The ground of `serve` and `review`: a server that limits connections, a guard before each request, and page parts.

It knows neither command. `config` says who may ask, `server` listens, `guard` checks and counts requests, `bodies`
receives what they carry, `refusals` says why one is refused, and `pages` has files and answers.
"""
