"""The gateway's fast lane: HTTP/1.1 read and answered without a framework, on the port that everything else shares.

A reactor owns plain connections; TLS connections have a task each; both speak through one protocol object that does no
I/O. What is not a fast route goes to the application in-process, and what is not HTTP/1.1 goes to Hypercorn.
"""
