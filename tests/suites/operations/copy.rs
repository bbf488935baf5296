//! Copies between buffers and the host, and ranges of buffers: what a device offers besides
//! operations.

use ltm_engine::{DType, Device, DeviceExt, Error};
use ltm_tests::device;

#[test]
fn a_copy_moves_all_of_it_and_nothing_else() {
    let mut device = device(1);
    let from = device.alloc_from(&[1.0f32, 2.0, 3.0]).unwrap();
    let to = device.alloc_from(&[9.0f32; 5]).unwrap();
    device.copy(&from, &to.slice(1..4).unwrap()).unwrap();
    assert_eq!(device.read::<f32>(&to).unwrap(), [9.0, 1.0, 2.0, 3.0, 9.0]);
    device.zero(&to.slice(0..2).unwrap()).unwrap();
    assert_eq!(device.read::<f32>(&to).unwrap(), [0.0, 0.0, 2.0, 3.0, 9.0]);
}

#[test]
fn malformed_copies_are_refused() {
    let mut device = device(1);
    let (a, b) = (device.alloc(DType::F32, 4).unwrap(), device.alloc(DType::F32, 5).unwrap());
    assert!(matches!(device.copy(&a, &b), Err(Error::Extent { .. })));
    let integers = device.alloc(DType::I32, 4).unwrap();
    assert!(matches!(device.copy(&a, &integers), Err(Error::Type { .. })));
    let halves = (b.slice(0..3).unwrap(), b.slice(2..5).unwrap());
    assert!(matches!(device.copy(&halves.0, &halves.1), Err(Error::Overlap { .. })));
    let foreign = ltm_tests::device(1).alloc(DType::F32, 4).unwrap();
    assert!(matches!(device.copy(&a, &foreign), Err(Error::Foreign { .. })));
    assert!(matches!(device.copy(&foreign, &a), Err(Error::Foreign { .. })));
    assert!(matches!(device.zero(&foreign), Err(Error::Foreign { .. })));
    assert!(matches!(device.upload(&a, &[0.0f32; 3]), Err(Error::Extent { .. })));
    assert!(matches!(device.upload(&a, &[0i32; 4]), Err(Error::Type { .. })));
    assert!(matches!(device.download(&a, &mut [0.0f32; 5]), Err(Error::Extent { .. })));
    assert!(matches!(device.read::<f64>(&a), Err(Error::Type { .. })));
}

#[test]
fn memory_that_cannot_exist_is_refused() {
    let mut device = device(1);
    for len in [usize::MAX, usize::MAX / 4, 1 << 60] {
        assert!(matches!(device.alloc(DType::F32, len), Err(Error::OutOfMemory { .. })), "{len}");
    }
}

#[test]
fn ranges_stay_inside_their_buffer() {
    let mut device = device(1);
    let buffer = device.alloc(DType::F32, 10).unwrap();
    assert!(buffer.slice(4..11).is_err());
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = 5..4;
    assert!(buffer.slice(reversed).is_err());
    assert!(buffer.slice(10..10).unwrap().is_empty());
    assert!(buffer.reinterpret(0, DType::F64, 5).is_ok());
    assert!(buffer.reinterpret(8, DType::F64, 5).is_err());
    assert!(buffer.reinterpret(4, DType::F64, 2).is_err(), "not aligned for f64");
    assert!(buffer.reinterpret(0, DType::F32, usize::MAX).is_err());
}
