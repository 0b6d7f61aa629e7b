//! What the tests of commands share: [`process`] runs the program, [`corpora`] makes its input.

// Each test program is compiled with all of this and uses what it needs.
#![allow(dead_code)]

pub mod corpora;
pub mod process;
