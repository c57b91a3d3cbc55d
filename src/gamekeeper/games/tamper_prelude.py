"""The names that are at hand for a program at paper level, as they are on LeetCode.

The text runs once in the warm fork server. Star imports first, then modules under their own names, and Python's own
names last: `math` would otherwise replace `pow`, with two arguments only. numpy's library would reserve memory for each
core of the machine, so that a program which imports it would pass its limit on a large one: it is told to use one.
"""

from __future__ import annotations

PRELUDE = """
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import *
from string import *
from typing import *
import array, bisect, collections, copy, dataclasses, datetime, decimal, fractions, functools, heapq, io, itertools
import json, math, operator, os, random, re, statistics, string, sys, time, typing
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from decimal import Decimal
from builtins import *


class ListNode:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next


class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val = val
        self.left = left
        self.right = right


os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.setrecursionlimit(100_000)
"""
