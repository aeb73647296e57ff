# cython: language_level=3
"""Bencode as NG speaks it: unsorted keys, repeated keys (Kamailio may repeat a word), octets that are no text.

Own, because the packages at hand either refuse unsorted keys or recurse without a bound on what a stranger sends.
Compiled, because each octet of every request and reply passes here: in Python it was a tenth of a call's set-up.
"""
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from collections.abc import Mapping, Sequence

MAX_DEPTH = 16                  # the deepest message of the protocol (sdp-attr) needs 5
MAX_ITEMS = 4_096               # strings, numbers and containers in one message

cdef enum:
    MOST_DEPTH = 16             # MAX_DEPTH
    MOST_ITEMS = 4096           # MAX_ITEMS
    MOST_WRITTEN = 100          # depth of what we write ourselves
    LENGTH_DIGITS = 9           # of a string's length
    NUMBER_DIGITS = 19          # fit 64 bits


class BencodeError(ValueError):
    """Not one complete value within the bounds."""


def decode(bytes data not None):
    """The one value that `data` is. Octet strings become str (UTF-8, surrogateescape). Of a repeated key the first
    value counts. BencodeError and nothing else."""
    cdef Reader reader = Reader(data)
    value = reader.value(MOST_DEPTH)
    if reader.at != reader.size:
        raise BencodeError("data behind the value")
    return value


cdef class Reader:
    """Each method reads what begins at `at`, and leaves it behind that."""
    cdef bytes data
    cdef const unsigned char *octets
    cdef Py_ssize_t at, size
    cdef int items

    def __cinit__(self, bytes data):
        self.data = data                                # keeps them alive
        self.octets = <const unsigned char *>PyBytes_AS_STRING(data)
        self.at, self.size, self.items = 0, len(data), 0

    cdef int next(self) except -1:
        """The octet at hand, which stays there."""
        if self.at >= self.size:
            raise BencodeError("truncated")
        return self.octets[self.at]

    cdef object value(self, int depth):
        cdef int first = self.next()
        self.items += 1
        if depth <= 0 or self.items > MOST_ITEMS:
            raise BencodeError("nested too deeply or too many items")
        if first == c"d":
            return self.dictionary(depth - 1)
        if first == c"l":
            return self.list(depth - 1)
        if first == c"i":
            return self.number()
        return self.string()

    cdef dict dictionary(self, int depth):
        cdef dict values = {}
        self.at += 1
        while self.next() != c"e":
            key = self.string()
            value = self.value(depth)
            if key not in values:
                values[key] = value
        self.at += 1
        return values

    cdef list list(self, int depth):
        cdef list values = []
        self.at += 1
        while self.next() != c"e":
            values.append(self.value(depth))
        self.at += 1
        return values

    cdef object number(self):
        cdef uint64_t value
        cdef bint negative
        self.at += 1
        negative = self.next() == c"-"
        self.at += negative
        value = self.digits(NUMBER_DIGITS, "broken integer")
        if self.next() != c"e":
            raise BencodeError("broken integer")
        self.at += 1
        return -(<object>value) if negative else value

    cdef object string(self):
        cdef const char *text
        cdef bint zero = self.next() == c"0"
        cdef Py_ssize_t begin = self.at, length = <Py_ssize_t>self.digits(LENGTH_DIGITS, "a value was expected")
        if self.next() != c":" or (zero and self.at != begin + 1):
            raise BencodeError("a value was expected")
        self.at += 1
        if length > self.size - self.at:
            raise BencodeError("truncated string")
        text = <const char *>self.octets + self.at
        self.at += length
        return PyUnicode_DecodeUTF8(text, length, "surrogateescape")

    cdef uint64_t digits(self, int most, str fault) except? 0:
        """One to `most` of them, which fit."""
        cdef uint64_t value = 0
        cdef int count = 0
        while c"0" <= self.next() <= c"9":
            count += 1
            if count > most:
                break
            value = 10 * value + self.octets[self.at] - c"0"
            self.at += 1
        if not 1 <= count <= most:
            raise BencodeError(fault)
        return value


def encode(value):
    """Keys in the order they stand. Bencode knows neither booleans, fractions nor null: 1/0, the decimal text, left
    out."""
    cdef bytearray out = bytearray()
    write(out, value, MOST_WRITTEN)
    return bytes(out)


cdef int write(bytearray out, value, int depth) except -1:
    kind = type(value)
    if kind is str:
        write_text(out, <str>value)
    elif kind is int:
        write_number(out, value)
    elif depth <= 0:
        raise RecursionError("nested too deeply")
    elif kind is dict:
        write_dictionary(out, <dict>value, depth)
    elif kind is list:
        write_list(out, value, depth)
    elif isinstance(value, str):
        write_text(out, str(value))
    elif isinstance(value, int):
        write_number(out, int(value))
    elif isinstance(value, Mapping):
        write_dictionary(out, dict(value), depth)
    elif isinstance(value, Sequence):
        write_list(out, value, depth)
    else:
        write_text(out, "" if value is None else repr(value))
    return 0


cdef int write_dictionary(bytearray out, dict value, int depth) except -1:
    put(out, b"d", 1)
    for key, item in value.items():
        if item is not None:
            write_text(out, <str>key if type(key) is str else str(key))
            write(out, item, depth - 1)
    put(out, b"e", 1)
    return 0


cdef int write_list(bytearray out, value, int depth) except -1:
    put(out, b"l", 1)
    for item in value:
        if item is not None:
            write(out, item, depth - 1)
    put(out, b"e", 1)
    return 0


cdef int write_number(bytearray out, value) except -1:
    cdef bytes text = b"i%de" % value
    put(out, PyBytes_AS_STRING(text), len(text))
    return 0


cdef int write_text(bytearray out, str value) except -1:
    cdef Py_ssize_t size
    cdef const char *text
    cdef char length[24]
    try:
        text = PyUnicode_AsUTF8AndSize(value, &size)
    except UnicodeEncodeError:
        octets = value.encode("utf-8", "surrogateescape")
        text, size = PyBytes_AS_STRING(octets), len(octets)
    put(out, length, snprintf(length, sizeof(length), "%zd:", size))
    put(out, text, size)
    return 0


cdef int put(bytearray out, const char *data, Py_ssize_t size) except -1:
    cdef Py_ssize_t at = len(out)
    PyByteArray_Resize(out, at + size)
    memcpy(PyByteArray_AS_STRING(out) + at, data, size)
    return 0
