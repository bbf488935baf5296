//! Sixteen numbers side by side, in the registers of each instruction set.
//!
//! Loops whose speed hangs on registers or shuffles are written against [`Lanes`]; to all
//! others the compiler does justice, see [`simd`](super::simd).
//!
//! No closure may call these functions: it would be compiled without the instructions that
//! the function around it enables, and each of them would become a call.

/// Numbers in one value of [`Lanes`].
pub const WIDTH: usize = 16;

/// Sixteen numbers.
///
/// # Safety
/// Every function may use the instructions of its implementor: callers run only where
/// [`level`](super::simd::level) found them, inside a function that enables them. Addresses
/// point to [`WIDTH`] numbers that may be read (or written); any alignment of f32 will do.
pub unsafe trait Lanes: Copy {
    /// How many values the registers of the machine hold.
    const REGISTERS: usize;
    /// `x` in every lane.
    unsafe fn splat(x: f32) -> Self;
    /// The numbers from `from` on.
    unsafe fn load(from: *const f32) -> Self;
    /// Puts the numbers at `to`.
    unsafe fn store(self, to: *mut f32);
    /// `self * x + sum`, rounded once where the machine can.
    unsafe fn mul_add(self, x: Self, sum: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// `self * other`.
    unsafe fn mul(self, other: Self) -> Self;
    /// Every even lane and the one after it in each other's place.
    unsafe fn swap_pairs(self) -> Self;
    /// `self[0], other[0], self[1], other[1], ...` in two values.
    unsafe fn interleave(self, other: Self) -> [Self; 2];
}

/// For machines without a better implementation.
#[derive(Clone, Copy)]
pub struct Plain([f32; WIDTH]);

// SAFETY: uses no instruction beyond the baseline; addresses are the callers' promise.
unsafe impl Lanes for Plain {
    const REGISTERS: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; WIDTH])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an array of f32 has the alignment of f32.
        unsafe { Self(*from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as in `load`.
        unsafe { *to.cast() = self.0 }
    }

    #[inline(always)]
    unsafe fn mul_add(self, x: Self, sum: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * x.0[i] + sum.0[i]))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * other.0[i]))
    }

    #[inline(always)]
    unsafe fn swap_pairs(self) -> Self {
        Self(std::array::from_fn(|i| self.0[i ^ 1]))
    }

    #[inline(always)]
    unsafe fn interleave(self, other: Self) -> [Self; 2] {
        let of = |i: usize| [self, other][i % 2].0[i / 2];
        [0, WIDTH].map(|first| Self(std::array::from_fn(|i| of(first + i))))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    // SAFETY: needs AVX-512 F, which the callers of these functions have.
    unsafe impl Lanes for __m512 {
        const REGISTERS: usize = 32;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller has the instruction.
            unsafe { _mm512_set1_ps(x) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller has the instruction and sixteen numbers at the address.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as in `load`.
            unsafe { _mm512_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, x: Self, sum: Self) -> Self {
            // SAFETY: the caller has the instruction.
            unsafe { _mm512_fmadd_ps(self, x, sum) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has the instruction.
            unsafe { _mm512_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: the caller has the instruction.
            unsafe { _mm512_mul_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn swap_pairs(self) -> Self {
            // SAFETY: the caller has the instruction.
            unsafe { _mm512_permute_ps::<0b10_11_00_01>(self) }
        }

        #[inline(always)]
        unsafe fn interleave(self, other: Self) -> [Self; 2] {
            // SAFETY: the caller has the instructions.
            unsafe {
                let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
                [
                    _mm512_permutex2var_ps(self, low, other),
                    _mm512_permutex2var_ps(self, high, other),
                ]
            }
        }
    }

    /// Two AVX registers.
    #[derive(Clone, Copy)]
    pub struct Pair(__m256, __m256);

    // SAFETY: needs AVX2 and FMA, which the callers of these functions have.
    unsafe impl Lanes for Pair {
        const REGISTERS: usize = 8;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller has the instruction.
            let x = unsafe { _mm256_set1_ps(x) };
            Self(x, x)
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller has the instruction and sixteen numbers at the address.
            unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as in `load`.
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(8), self.1);
            }
        }

        #[inline(always)]
        unsafe fn mul_add(self, x: Self, sum: Self) -> Self {
            // SAFETY: the caller has the instruction.
            unsafe {
                Self(_mm256_fmadd_ps(self.0, x.0, sum.0), _mm256_fmadd_ps(self.1, x.1, sum.1))
            }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has the instruction.
            unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }

        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: the caller has the instruction.
            unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
        }

        #[inline(always)]
        unsafe fn swap_pairs(self) -> Self {
            const SWAP: i32 = 0b10_11_00_01;
            // SAFETY: the caller has the instruction.
            unsafe { Self(_mm256_permute_ps::<SWAP>(self.0), _mm256_permute_ps::<SWAP>(self.1)) }
        }

        #[inline(always)]
        unsafe fn interleave(self, other: Self) -> [Self; 2] {
            // SAFETY: the caller has the instructions.
            unsafe { [interleave(self.0, other.0), interleave(self.1, other.1)] }
        }
    }

    #[inline(always)]
    unsafe fn interleave(a: __m256, b: __m256) -> Pair {
        // SAFETY: the caller has the instructions.
        unsafe {
            let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let first = _mm256_permute2f128_ps::<0x20>(low, high);
            Pair(first, _mm256_permute2f128_ps::<0x31>(low, high))
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::Pair;

/// Defines a function that calls `$body::<V>` with the best [`Lanes`] of this machine, inside
/// a function that enables its instructions. What else `$body` asks is for the caller to keep.
macro_rules! dispatch {
    ($(#[$doc:meta])* unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) => $body:ident) => {
        $(#[$doc])*
        unsafe fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::cpu::simd::{Level, level};
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                unsafe fn avx512($($arg: $ty),*) {
                    // SAFETY: the caller's promise.
                    unsafe { $body::<std::arch::x86_64::__m512>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2($($arg: $ty),*) {
                    // SAFETY: the caller's promise.
                    unsafe { $body::<$crate::cpu::lanes::Pair>($($arg),*) }
                }
                match level() {
                    // SAFETY: `level` found the instructions; the rest is the caller's promise.
                    Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    Level::Avx2 => return unsafe { avx2($($arg),*) },
                    Level::Baseline => {}
                }
            }
            // SAFETY: the caller's promise.
            unsafe { $body::<$crate::cpu::lanes::Plain>($($arg),*) }
        }
    };
}
