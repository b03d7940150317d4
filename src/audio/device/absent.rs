//! What stands for the devices in a program that was built without them.

use super::{DeviceError, Direction, Read, Written};
use crate::audio::FRAME_SAMPLES;
use core::convert::Infallible;
use core::time::Duration;

/// The names of the microphones: none can be seen.
pub fn inputs() -> Result<Vec<String>, DeviceError> {
    Err(DeviceError::NotBuilt(Direction::Input))
}

/// The names of the loudspeakers: none can be seen.
pub fn outputs() -> Result<Vec<String>, DeviceError> {
    Err(DeviceError::NotBuilt(Direction::Output))
}

/// A microphone, of which there is none in this build.
#[derive(Debug)]
pub struct Microphone(Infallible);

impl Microphone {
    /// Always [`DeviceError::NotBuilt`].
    pub fn open(_name: Option<&str>) -> Result<Self, DeviceError> {
        Err(DeviceError::NotBuilt(Direction::Input))
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        match self.0 {}
    }

    /// Frames of 20 ms dropped because they were not read in time.
    pub fn overruns(&self) -> u64 {
        match self.0 {}
    }

    /// The next 20 ms.
    pub fn read(
        &mut self,
        _frame: &mut [f32; FRAME_SAMPLES],
        _timeout: Duration,
    ) -> Result<Read, DeviceError> {
        match self.0 {}
    }
}

/// A loudspeaker, of which there is none in this build.
#[derive(Debug)]
pub struct Loudspeaker(Infallible);

impl Loudspeaker {
    /// Always [`DeviceError::NotBuilt`].
    pub fn open(_name: Option<&str>) -> Result<Self, DeviceError> {
        Err(DeviceError::NotBuilt(Direction::Output))
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        match self.0 {}
    }

    /// How often the sound ran out.
    pub fn underruns(&self) -> u64 {
        match self.0 {}
    }

    /// Offers the next 20 ms.
    pub fn write(
        &mut self,
        _frame: &[f32; FRAME_SAMPLES],
        _timeout: Duration,
    ) -> Result<Written, DeviceError> {
        match self.0 {}
    }

    /// Waits until everything written has been handed to the device.
    pub fn finish(&mut self, _timeout: Duration) -> Result<(), DeviceError> {
        match self.0 {}
    }
}
