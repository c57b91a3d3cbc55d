"""The games inside other tools. One module a tool; each imports its library only when it is asked for.

`library.py` says which versions of each library an adapter was written for. Nothing but the command line imports
from here.
"""
