"""Every digit on a page, in reading order, and the numbers and tables that they form.

`find` cuts a page into pieces of ink (`lines` and `tables` tell it what is printed), `recognize` reads, splits and
joins them with `likeness`, and `assemble` puts them in order by `layout`; `page` is all of that in a row. Constants
were chosen on drawn pages and photographs: `benchmarks/vision/tried.md` has what was measured.
"""
