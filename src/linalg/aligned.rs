//! Vectors that begin at a cache line, so that a row of 16 f32 never straddles two.

use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

/// One cache line.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// A zero-initialised vector of numbers that begins at a multiple of 64 bytes.
#[derive(Clone)]
pub struct Aligned<T> {
    lines: Vec<Line>,
    length: usize,
    kind: std::marker::PhantomData<T>,
}

impl<T: Pod> Aligned<T> {
    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let lines = (length * size_of::<T>()).div_ceil(size_of::<Line>());
        Aligned { lines: vec![Line::zeroed(); lines], length, kind: std::marker::PhantomData }
    }

    /// Makes the length another one. What was there keeps its place; the memory is kept, so that a buffer can be used again.
    pub fn resize(&mut self, length: usize) {
        self.lines.resize((length * size_of::<T>()).div_ceil(size_of::<Line>()), Line::zeroed());
        self.length = length;
    }
}

impl<T: Pod> Default for Aligned<T> {
    fn default() -> Self {
        Self::zeros(0)
    }
}

impl<T: Pod> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }
}

impl<T: Pod> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length]
    }
}
