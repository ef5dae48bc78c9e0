"""The compiled half of `csv`: text to float32, correctly rounded by way of float64, or nothing.

A value of up to 15 digits and a small exponent is one exact product or quotient (Clinger 1990,
doi:10.1145/93542.93557). Any other is bracketed: the float64 product is off by less than 2^-50 of itself, and
where both ends of that bracket round to the same float32, that is what `float32(strtod(text))` is, too. Where
they do not (once in millions) the kernel gives up and the careful parser reads the text.
"""

from typing import Any

import numpy as np

from clary.toolkit.kernels._numba import kernel, types

SPACE, TAB, NEWLINE, RETURN = 32, 9, 10, 13
PLUS, MINUS, POINT, ZERO, NINE = 43, 45, 46, 48, 57
LOWEST, HIGHEST = -300, 290
POWERS = np.array([float(f"1e{power}") for power in range(LOWEST, HIGHEST + 1)])
EXACT = np.array([float(f"1e{power}") for power in range(23)])
MOST_EXACT = np.uint64(1 << 53)
FEW_DIGITS = 15
"""Decimal digits that a float64 has exactly."""
MOST_DIGITS = 19
"""Decimal digits that fit in 64 bits, whatever they are."""
BRACKET = 2.0**-50
NOT_PLAIN = -1
ROWS = types.Array(types.float32, 2, "C")
BODY = types.Bytes(types.uint8, 1, "C", readonly=True)


@kernel(types.float32(types.uint64, types.int64, types.boolean))
def rounded(digits: Any, power: Any, is_cut: Any) -> Any:
    """Return the float32 of digits x 10^power; NaN where it is not certain."""
    if digits == 0:
        return np.float32(0.0)
    if digits <= MOST_EXACT and not is_cut and -22 <= power <= 22:
        value = np.float64(digits)
        value = value * EXACT[power] if power >= 0 else value / EXACT[-power]
        return np.float32(value)
    if power < LOWEST or power > HIGHEST - MOST_DIGITS:
        return np.float32(np.nan)
    value = np.float64(digits) * POWERS[power - LOWEST]
    low = np.float32(value * (1.0 - BRACKET))
    high = np.float32(value * (1.0 + BRACKET))
    return low if low == high else np.float32(np.nan)


FIELD = types.Tuple((types.int64, types.int64, types.float32))
SPAN = types.UniTuple(types.int64, 2)


@kernel(types.boolean(types.uint8))
def is_blank(byte: Any) -> Any:
    """Tell whether `bytes.strip` takes a byte away."""
    return byte == SPACE or TAB <= byte <= RETURN


@kernel(SPAN(BODY))
def stripped(body: Any) -> Any:
    """Return the first byte that is no blank, and the byte after the last."""
    at, end = 0, len(body)
    while at < end and is_blank(body[at]):
        at += 1
    while end > at and is_blank(body[end - 1]):
        end -= 1
    return at, end


@kernel(SPAN(BODY, types.int64, types.int64))
def exponent(body: Any, at: Any, end: Any) -> Any:
    """Return the byte after an exponent, and its value; the byte is -1 where it is none of ours."""
    is_minus = at < end and body[at] == MINUS
    if at < end and (body[at] == MINUS or body[at] == PLUS):
        at += 1
    value: Any = 0
    n_digits = 0
    while at < end and ZERO <= body[at] <= NINE:
        value = value * 10 + np.int64(body[at] - ZERO)
        n_digits += 1
        at += 1
        if n_digits > 4:
            return -1, 0
    if n_digits == 0:
        return -1, 0
    return at, -value if is_minus else value


@kernel(FIELD(BODY, types.int64, types.int64))
def field(body: Any, at: Any, end: Any) -> Any:
    """Read a field: the byte after it, or -1 where it is not plain; whether it says something; its value."""
    is_negative = at < end and body[at] == MINUS
    is_signed = is_negative or (at < end and body[at] == PLUS)
    at += is_signed
    digits, n_digits, n_seen, power = np.uint64(0), 0, 0, 0
    is_cut, has_point = False, False
    while at < end:
        byte = body[at]
        if ZERO <= byte <= NINE:
            if n_digits < MOST_DIGITS:
                digits = digits * np.uint64(10) + np.uint64(byte - ZERO)
                n_digits += digits != 0
                power -= has_point
            else:
                is_cut = is_cut or byte != ZERO
                power += not has_point
            n_seen += 1
        elif byte == POINT and not has_point:
            has_point = True
        else:
            break
        at += 1
    if n_seen == 0:
        if is_signed or has_point:
            return -1, 0, np.float32(np.nan)
        if at + 3 <= end and body[at] | 32 == 110 and body[at + 1] | 32 == 97 and body[at + 2] | 32 == 110:
            return at + 3, 1, np.float32(np.nan)
        return at, 0, np.float32(np.nan)
    if at < end and body[at] | 32 == 101:
        at, more = exponent(body, at + 1, end)
        power += more
    value = rounded(digits, power, is_cut)
    if at < 0 or not np.isfinite(value):
        return -1, 0, value
    return at, 1, -value if is_negative else value


@kernel(types.int64(BODY, types.int64, ROWS))
def parse(body: Any, delimiter: Any, rows: Any) -> Any:  # noqa: PLR0912 - a call would double its time
    """Read rows of numbers into `rows`; return how many, or -1 for what is better read with care."""
    n_most, n_columns = rows.shape
    values = rows.reshape(rows.size)
    at, end = stripped(body)
    row, column = 0, 0
    while at < end or column:
        if row == n_most or column == n_columns:
            return NOT_PLAIN
        while at < end and body[at] == SPACE:
            at += 1
        begin = at  # what nearly all fields are, without a call: few digits, perhaps a point among them
        is_negative = at < end and body[at] == MINUS
        at += is_negative
        first, power, digits = at, 0, np.uint64(0)
        while at < end:
            digit = np.int64(body[at]) - ZERO
            if digit < 0 or digit > 9:
                break
            digits = digits * np.uint64(10) + np.uint64(digit)
            at += 1
        n_digits = at - first
        if at < end and body[at] == POINT:
            at += 1
            first = at
            while at < end:
                digit = np.int64(body[at]) - ZERO
                if digit < 0 or digit > 9:
                    break
                digits = digits * np.uint64(10) + np.uint64(digit)
                at += 1
            power = at - first
            n_digits += power
        if 0 < n_digits <= FEW_DIGITS and (at == end or body[at] < 58):
            value = np.float32(np.float64(digits) / EXACT[power])
            values[row * n_columns + column] = -value if is_negative else value
        else:
            at, n_values, value = field(body, begin, end)
            if at < 0 or (n_columns == 1 and n_values == 0):
                return NOT_PLAIN
            values[row * n_columns + column] = value
        while at < end and body[at] == SPACE:
            at += 1
        if at == end:
            return row + 1 if column == n_columns - 1 else NOT_PLAIN
        if body[at] == delimiter:
            at += 1
            column += 1
            continue
        at += body[at] == RETURN
        if at >= end or body[at] != NEWLINE or column != n_columns - 1:
            return NOT_PLAIN
        at += 1
        row, column = row + 1, 0
        if body[at] == NEWLINE or body[at] == RETURN:
            return NOT_PLAIN  # an empty line, which the careful parser passes over
    return NOT_PLAIN
