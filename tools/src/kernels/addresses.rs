//! A fixed layout of the address space: NVRTC orders some of its work by addresses, so that where
//! they are random, one run in a few gives a kernel other registers, and the hint
//! `used_bytes_mask`, which older drivers refuse.

/// Starts the program anew with a fixed layout, unless it has one: then this returns true. False
/// where the system knows no such thing or does not allow it.
#[cfg(target_os = "linux")]
pub fn fix() -> bool {
    use std::ffi::{c_int, c_ulong};
    use std::os::unix::process::CommandExt;

    /// `ADDR_NO_RANDOMIZE` of `linux/personality.h`.
    const FIXED: c_ulong = 0x004_0000;
    /// Asks and changes nothing.
    const ASK: c_ulong = 0xffff_ffff;

    unsafe extern "C" {
        fn personality(persona: c_ulong) -> c_int;
    }

    // SAFETY: takes a number, touches no memory, and may be called at any time.
    let Ok(now) = c_ulong::try_from(unsafe { personality(ASK) }) else { return false };
    if now & FIXED != 0 {
        return true;
    }
    // SAFETY: as above; it holds for programs that this one turns into.
    if unsafe { personality(now | FIXED) } < 0 {
        return false;
    }
    let Ok(program) = std::env::current_exe() else { return false };
    // Only returns if it fails; then the random layout must do.
    let _ = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    false
}

/// Other systems are not told.
#[cfg(not(target_os = "linux"))]
pub fn fix() -> bool {
    false
}
