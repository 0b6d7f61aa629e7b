use intel_mkl_src as _;
fn main() {}
