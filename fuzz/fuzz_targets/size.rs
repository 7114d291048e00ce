//! What the parsers take, they show in a form that they take again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use topo::topology::{Duration, Size};

fuzz_target!(|text: &str| {
    if let Ok(size) = text.parse::<Size>() {
        assert_eq!(size.to_string().parse(), Ok(size));
    }
    if let Ok(duration) = text.parse::<Duration>() {
        assert_eq!(duration.to_string().parse(), Ok(duration));
    }
});
