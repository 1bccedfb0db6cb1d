"""Every digit on a page, in reading order, and the numbers that they form.

`pieces` finds connected ink, `recognize` reads, splits and joins it, `layout` puts it in order; `page` is all of that
in a row, on a picture in memory.
"""
