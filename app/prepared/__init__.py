"""Weights in the layout that this processor's kernels want: made once per host, mapped from disk ever after.

ONNX Runtime packs the weights of a converted folder when it loads them: seconds of work at every start, and a copy of
everything on the heap, beside the file in the page cache. A prepared folder holds the packed weights; loading it maps
them, so they take the memory once, the system can drop and re-read them, and a start takes a second. Outputs are the
same bits. The layout depends on ONNX Runtime's version and on the processor, so a folder is stamped with both and made
anew where they differ.

    <root>/<name>-<key>/
      prepared.json                stamp: what it was made from, ONNX Runtime, processor, files with size and SHA-256
      decoder.onnx[.data]          cut to K layers, with past keys and values (`encoders.serving_graph`)
      vision.onnx[.data], audio.onnx[.data]
"""
