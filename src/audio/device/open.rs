//! Devices through the system's sound library: finding one, choosing its settings, holding its stream.

use super::ring::{self, Captured, Fault, Played, Reader, Shared, Writer, died};
use super::{DeviceError, Direction, Read, Written};
use crate::audio::{FRAME_SAMPLES, SAMPLE_RATE};
use core::time::Duration;
use cpal::traits::{DeviceTrait as _, HostTrait as _, StreamTrait as _};
use cpal::{
    BufferSize, Device, ErrorKind, Host, SampleFormat, Stream, StreamConfig, SupportedBufferSize,
    SupportedStreamConfig, SupportedStreamConfigRange,
};
use std::sync::Arc;
use std::time::Instant;

/// How long a sound server may take to open a stream. They answer within milliseconds or hang.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// The callback's period. 10 ms is what sound servers keep without a break.
const PERIOD: Duration = Duration::from_millis(10);

/// The period on ALSA, whose own plug-ins run dry at shorter ones.
const PERIOD_ALSA: Duration = Duration::from_millis(20);

/// The shortest sleep while waiting for a device; shorter ones cost more in waking up than they save in delay.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// The longest: a device that dies is noticed within it.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

/// How ALSA calls the plug-in that takes any sound and gives silence. Nobody means it.
const NO_DEVICE: &str = "Discard all samples";

/// The names of the microphones there are.
pub fn inputs() -> Result<Vec<String>, DeviceError> {
    Ok(names(devices(&host(), Direction::Input)?))
}

/// The names of the loudspeakers there are.
pub fn outputs() -> Result<Vec<String>, DeviceError> {
    Ok(names(devices(&host(), Direction::Output)?))
}

/// An open microphone. Dropping it releases the device.
pub struct Microphone {
    reader: Reader,
    name: String,
    _stream: Stream,
}

impl Microphone {
    /// Opens the system's default microphone, or the first whose name contains `name` (letters of either case).
    pub fn open(name: Option<&str>) -> Result<Self, DeviceError> {
        let direction = Direction::Input;
        let host = host();
        let device = find(&host, direction, name)?;
        let default = device
            .default_input_config()
            .map_err(|error| explain(direction, &error))?;
        let ranges = device
            .supported_input_configs()
            .map(Iterator::collect)
            .unwrap_or_default();
        let chosen = choose(default, ranges);
        let (stream, reader) = with_period(&host, &chosen, |config| {
            let (captured, reader) = ring::capture(config.sample_rate, config.channels).map_err(|error| {
                let reason = error.to_string();
                DeviceError::Unsupported { direction, reason }
            })?;
            let stream = record(&device, config, chosen.sample_format(), captured)?;
            Ok((stream, reader))
        })?;
        stream.play().map_err(|error| explain(direction, &error))?;
        Ok(Self {
            reader,
            name: name_of(&device),
            _stream: stream,
        })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Frames of 20 ms dropped because they were not read in time.
    pub fn overruns(&self) -> u64 {
        self.reader.overruns()
    }

    /// The next 20 ms, mono at 48 kHz; waits for them, but no longer than `timeout`. A microphone that went away is
    /// [`DeviceError::Lost`] from then on.
    pub fn read(&mut self, frame: &mut [f32; FRAME_SAMPLES], timeout: Duration) -> Result<Read, DeviceError> {
        let start = Instant::now();
        loop {
            if self.reader.read(frame) == Read::Full {
                return Ok(Read::Full);
            }
            if let Some(fault) = self.reader.fault() {
                return Err(died(Direction::Input, fault));
            }
            let Some(left) = timeout
                .checked_sub(start.elapsed())
                .filter(|left| !left.is_zero())
            else {
                return Ok(Read::NotYet);
            };
            nap(self.reader.wait(), left);
        }
    }
}

impl core::fmt::Debug for Microphone {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Microphone")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// An open loudspeaker. Dropping it releases the device, and cuts off what has not been played.
pub struct Loudspeaker {
    writer: Writer,
    name: String,
    _stream: Stream,
}

impl Loudspeaker {
    /// Opens the system's default loudspeaker, or the first whose name contains `name` (letters of either case).
    pub fn open(name: Option<&str>) -> Result<Self, DeviceError> {
        let direction = Direction::Output;
        let host = host();
        let device = find(&host, direction, name)?;
        let default = device
            .default_output_config()
            .map_err(|error| explain(direction, &error))?;
        let ranges = device
            .supported_output_configs()
            .map(Iterator::collect)
            .unwrap_or_default();
        let chosen = choose(default, ranges);
        let (stream, writer) = with_period(&host, &chosen, |config| {
            let (writer, played) = ring::playback(config.sample_rate, config.channels).map_err(|error| {
                let reason = error.to_string();
                DeviceError::Unsupported { direction, reason }
            })?;
            let stream = play(&device, config, chosen.sample_format(), played)?;
            Ok((stream, writer))
        })?;
        stream.play().map_err(|error| explain(direction, &error))?;
        Ok(Self {
            writer,
            name: name_of(&device),
            _stream: stream,
        })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How often the sound ran out because nothing was written in time.
    pub fn underruns(&self) -> u64 {
        self.writer.underruns()
    }

    /// Offers the next 20 ms, mono at 48 kHz; waits until the device needs them, but no longer than `timeout`. So
    /// whoever writes in a loop runs at the device's own pace. A loudspeaker that went away is [`DeviceError::Lost`]
    /// from then on.
    pub fn write(&mut self, frame: &[f32; FRAME_SAMPLES], timeout: Duration) -> Result<Written, DeviceError> {
        let waited = self.wait_until(timeout, |writer| writer.wait())?;
        if waited == Written::Taken {
            self.writer.write(frame);
        }
        Ok(waited)
    }

    /// Waits until everything written has been handed to the device, but no longer than `timeout`.
    pub fn finish(&mut self, timeout: Duration) -> Result<(), DeviceError> {
        self.writer.expect_end();
        self.wait_until(timeout, |writer| writer.queued()).map(|_| ())
    }

    fn wait_until(
        &self,
        timeout: Duration,
        wait: impl Fn(&Writer) -> Duration,
    ) -> Result<Written, DeviceError> {
        let start = Instant::now();
        loop {
            if let Some(fault) = self.writer.fault() {
                return Err(died(Direction::Output, fault));
            }
            let more = wait(&self.writer);
            if more.is_zero() {
                return Ok(Written::Taken);
            }
            let Some(left) = timeout
                .checked_sub(start.elapsed())
                .filter(|left| !left.is_zero())
            else {
                return Ok(Written::Full);
            };
            nap(more, left);
        }
    }
}

impl core::fmt::Debug for Loudspeaker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Loudspeaker")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Sleeps about as long as the device needs.
fn nap(wait: Duration, left: Duration) {
    std::thread::sleep(wait.clamp(SHORTEST_SLEEP, LONGEST_SLEEP).min(left));
}

/// The system's own choice, but on Linux a sound server is asked twice: behind it lies ALSA, which without hardware of
/// its own offers plug-ins for devices, so one failed handshake must not decide.
fn host() -> Host {
    #[cfg(target_os = "linux")]
    if let Ok(host) = cpal::host_from_id(cpal::HostId::PulseAudio) {
        return host;
    }
    // ALSA writes what it misses to stderr; our errors say it in words that help. Kept for this thread until the next
    // opening.
    #[cfg(target_os = "linux")]
    let _ = alsa::Output::local_error_handler();
    cpal::default_host()
}

fn find(host: &Host, direction: Direction, name: Option<&str>) -> Result<Device, DeviceError> {
    let Some(name) = name else {
        let default = match direction {
            Direction::Input => host.default_input_device(),
            Direction::Output => host.default_output_device(),
        };
        return default.ok_or(DeviceError::None(direction));
    };
    let wanted = name.to_lowercase();
    let mut found = devices(host, direction)?;
    match found
        .iter()
        .position(|device| name_of(device).to_lowercase().contains(&wanted))
    {
        Some(index) => Ok(found.swap_remove(index)),
        None => Err(DeviceError::Unknown {
            direction,
            name: name.to_owned(),
            known: names(found),
        }),
    }
}

fn devices(host: &Host, direction: Direction) -> Result<Vec<Device>, DeviceError> {
    let found = match direction {
        Direction::Input => host.input_devices().map(Iterator::collect),
        Direction::Output => host.output_devices().map(Iterator::collect),
    };
    let mut found: Vec<Device> = found.map_err(|error| explain(direction, &error))?;
    found.retain(|device| !name_of(device).starts_with(NO_DEVICE));
    Ok(found)
}

fn names(devices: Vec<Device>) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(devices.len());
    for device in &devices {
        let name = name_of(device);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn name_of(device: &Device) -> String {
    device.description().map_or_else(
        |_| "unnamed".to_owned(),
        |description| description.name().to_owned(),
    )
}

/// The device's default settings, moved to 48 kHz and the best sample format where it can. The channels stay: a
/// system that plays mono on a stereo device may well play it on the left alone.
fn choose(default: SupportedStreamConfig, ranges: Vec<SupportedStreamConfigRange>) -> SupportedStreamConfig {
    let rank = |format: SampleFormat| match format {
        SampleFormat::F32 => 0,
        SampleFormat::I32 | SampleFormat::I24 | SampleFormat::F64 => 1,
        SampleFormat::I16 => 2,
        _ => 3,
    };
    ranges
        .into_iter()
        .filter(|range| range.channels() == default.channels() && !range.sample_format().is_dsd())
        .filter(|range| (range.min_sample_rate()..=range.max_sample_rate()).contains(&SAMPLE_RATE))
        .min_by_key(|range| rank(range.sample_format()))
        .map_or(default, |range| range.with_sample_rate(SAMPLE_RATE))
}

/// Opens with our period, or, where the device refuses it, with its own.
fn with_period<T>(
    host: &Host,
    chosen: &SupportedStreamConfig,
    open: impl Fn(StreamConfig) -> Result<T, DeviceError>,
) -> Result<T, DeviceError> {
    let period = if host.id().name() == "ALSA" {
        PERIOD_ALSA
    } else {
        PERIOD
    };
    let frames = (u64::from(chosen.sample_rate()) * period.as_millis() as u64 / 1000) as u32;
    let config = |buffer_size| StreamConfig {
        buffer_size,
        ..chosen.config()
    };
    match chosen.buffer_size() {
        SupportedBufferSize::Range { min, max } if (*min..=*max).contains(&frames) => {
            match open(config(BufferSize::Fixed(frames))) {
                Err(DeviceError::Unsupported { .. }) => open(config(BufferSize::Default)),
                opened => opened,
            }
        }
        _ => open(config(BufferSize::Default)),
    }
}

/// Calls a generic function with the sample type that a format names.
macro_rules! by_format {
    ($format:expr, $direction:expr, $call:ident ( $($argument:expr),* )) => {
        match $format {
            SampleFormat::I8 => $call::<i8>($($argument),*),
            SampleFormat::I16 => $call::<i16>($($argument),*),
            SampleFormat::I24 => $call::<cpal::I24>($($argument),*),
            SampleFormat::I32 => $call::<i32>($($argument),*),
            SampleFormat::I64 => $call::<i64>($($argument),*),
            SampleFormat::U8 => $call::<u8>($($argument),*),
            SampleFormat::U16 => $call::<u16>($($argument),*),
            SampleFormat::U24 => $call::<cpal::U24>($($argument),*),
            SampleFormat::U32 => $call::<u32>($($argument),*),
            SampleFormat::U64 => $call::<u64>($($argument),*),
            SampleFormat::F32 => $call::<f32>($($argument),*),
            SampleFormat::F64 => $call::<f64>($($argument),*),
            other => {
                let reason = format!("it speaks {other} only");
                return Err(DeviceError::Unsupported { direction: $direction, reason });
            }
        }
    };
}

fn record(
    device: &Device,
    config: StreamConfig,
    format: SampleFormat,
    captured: Captured,
) -> Result<Stream, DeviceError> {
    fn build<T: cpal::SizedSample + 'static>(
        device: &Device,
        config: StreamConfig,
        mut captured: Captured,
    ) -> Result<Stream, cpal::Error>
    where
        f32: cpal::FromSample<T>,
    {
        let on_error = note_fault(captured.shared());
        device.build_input_stream(
            config,
            move |data: &[T], _| captured.take(data),
            on_error,
            Some(OPEN_TIMEOUT),
        )
    }
    by_format!(format, Direction::Input, build(device, config, captured))
        .map_err(|error| explain(Direction::Input, &error))
}

fn play(
    device: &Device,
    config: StreamConfig,
    format: SampleFormat,
    played: Played,
) -> Result<Stream, DeviceError> {
    fn build<T: cpal::SizedSample + cpal::FromSample<f32> + 'static>(
        device: &Device,
        config: StreamConfig,
        mut played: Played,
    ) -> Result<Stream, cpal::Error> {
        let on_error = note_fault(played.shared());
        device.build_output_stream(
            config,
            move |data: &mut [T], _| played.fill(data),
            on_error,
            Some(OPEN_TIMEOUT),
        )
    }
    by_format!(format, Direction::Output, build(device, config, played))
        .map_err(|error| explain(Direction::Output, &error))
}

/// The stream's error callback: notes what ends the stream; the rest repairs itself or is counted elsewhere.
fn note_fault(shared: Arc<Shared>) -> impl FnMut(cpal::Error) + Send + 'static {
    move |error| match error.kind() {
        ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied | ErrorKind::Xrun => {}
        ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated | ErrorKind::HostUnavailable => {
            shared.set_fault(Fault::Lost);
        }
        ErrorKind::PermissionDenied => shared.set_fault(Fault::Denied),
        _ => shared.set_fault(Fault::System),
    }
}

/// An error on the way to an open stream.
fn explain(direction: Direction, error: &cpal::Error) -> DeviceError {
    let reason = error.to_string();
    match error.kind() {
        ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable => DeviceError::None(direction),
        ErrorKind::DeviceBusy => DeviceError::Busy(direction),
        ErrorKind::PermissionDenied => DeviceError::Denied(direction),
        ErrorKind::StreamInvalidated => DeviceError::Lost(direction),
        ErrorKind::UnsupportedConfig | ErrorKind::UnsupportedOperation | ErrorKind::InvalidInput => {
            DeviceError::Unsupported { direction, reason }
        }
        _ => DeviceError::System { direction, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(channels: u16, rates: (u32, u32), format: SampleFormat) -> SupportedStreamConfigRange {
        SupportedStreamConfigRange::new(channels, rates.0, rates.1, SupportedBufferSize::Unknown, format)
    }

    #[test]
    fn a_device_is_moved_to_48_khz_and_floats_where_it_can() {
        let default = range(2, (44_100, 44_100), SampleFormat::I16).with_sample_rate(44_100);
        let ranges = vec![
            range(1, (48_000, 48_000), SampleFormat::F32),
            range(2, (8_000, 96_000), SampleFormat::I16),
            range(2, (8_000, 96_000), SampleFormat::F32),
            range(2, (44_100, 44_100), SampleFormat::F32),
        ];
        let chosen = choose(default, ranges);
        assert_eq!((chosen.channels(), chosen.sample_rate()), (2, 48_000));
        assert_eq!(chosen.sample_format(), SampleFormat::F32);
    }

    #[test]
    fn a_device_without_48_khz_keeps_its_own_settings() {
        let default = range(2, (44_100, 44_100), SampleFormat::I16).with_sample_rate(44_100);
        let chosen = choose(default, vec![range(1, (8_000, 96_000), SampleFormat::F32)]);
        assert_eq!(chosen, default);
    }

    #[test]
    fn open_devices_can_move_between_threads() {
        fn movable<T: Send>() {}
        movable::<Microphone>();
        movable::<Loudspeaker>();
    }
}
