//! What kinds keep for themselves during one run, by its type: so that the context need know none of
//! them.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Default)]
pub struct RunState(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl RunState {
    /// The one of this type, made when it is first asked for.
    pub fn of<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = kept.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default())).clone();
        drop(kept);
        one.downcast().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn there_is_one_of_each_type() {
        #[derive(Default)]
        struct Other(AtomicUsize);
        let run = RunState::default();
        run.of::<AtomicUsize>().fetch_add(7, Ordering::Relaxed);
        run.of::<Other>().0.fetch_add(1, Ordering::Relaxed);
        assert_eq!(run.of::<AtomicUsize>().load(Ordering::Relaxed), 7);
        assert_eq!(run.of::<Other>().0.load(Ordering::Relaxed), 1);
    }
}
