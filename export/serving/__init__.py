"""A small local server over an export, in the REST form of TF Serving. Uses onnxruntime, and no TensorFlow."""
