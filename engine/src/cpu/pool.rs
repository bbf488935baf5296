//! The worker threads of a device.
//!
//! A pass is some fifty operations of a millisecond and less, one after the other. To put a
//! thread to sleep between two of them and wake it again takes up to 50 microseconds each
//! time, so the workers stay awake for a while after an operation, and the thread that asks
//! for it takes part in the work instead of handing it over.

use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a worker looks out for the next operation before it sleeps. Longer than anything
/// that happens between the operations of a program.
const AWAKE: Duration = Duration::from_millis(1);
/// Looks before a thread that waits offers its core to others each time: where threads
/// outnumber cores, it may be the very one that the awaited work needs.
const EAGER_LOOKS: usize = 2000;

/// What the threads do together: called once by each, with its number.
type Work<'a> = &'a (dyn Fn(usize) + Sync);

/// Set in [`Shared::state`] while workers may begin; the other bits count those inside.
const OPEN: usize = 1 << (usize::BITS - 1);

struct Shared {
    state: AtomicUsize,
    /// The number of jobs so far, by which a worker knows that there is a new one.
    jobs: AtomicUsize,
    /// Valid for those inside.
    work: UnsafeCell<Option<Work<'static>>>,
    panicked: AtomicBool,
    stop: AtomicBool,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `work` is written by the thread that holds the lock `Pool::job`, while the state is
// not open; it is read only by those who came in while it was, for whom `Close` waits.
unsafe impl Sync for Shared {}

/// Threads that work together with the one that asks.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held during a job, so that a second thread with a reference waits.
    job: Mutex<()>,
}

thread_local! {
    /// The pool that [`for_each`] on this thread uses: null outside of [`Pool::install`], and
    /// inside of a task.
    static CURRENT: Cell<*const Pool> = const { Cell::new(std::ptr::null()) };
}

impl Pool {
    /// A pool of `threads` threads, the asking one among them; 0: one per core.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
            n => n,
        };
        let shared = Arc::new(Shared {
            state: AtomicUsize::new(0),
            jobs: AtomicUsize::new(0),
            work: UnsafeCell::new(None),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
        });
        let mut pool = Self { shared, workers: Vec::new(), job: Mutex::new(()) };
        for number in 1..threads {
            let shared = pool.shared.clone();
            let thread = std::thread::Builder::new().name(format!("ltm-cpu-{number}"));
            pool.workers.push(thread.spawn(move || shared.serve(number))?);
        }
        Ok(pool)
    }

    /// Threads, the asking one among them.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `f` on this thread; every [`for_each`] in it uses this pool.
    pub fn install<R>(&self, f: impl FnOnce() -> R) -> R {
        let _restore = Restore(CURRENT.replace(self));
        f()
    }

    /// Calls `work` on this thread, and on those workers that are awake before it returns.
    fn run(&self, work: Work<'_>) {
        let _job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        shared.panicked.store(false, SeqCst);
        // SAFETY: extends a lifetime. `Close` keeps this call from returning, or unwinding,
        // while a worker is inside, and none reads the reference outside.
        let work = unsafe { std::mem::transmute::<Work<'_>, Work<'static>>(work) };
        // SAFETY: the former job was closed and left by everyone, and `_job` is held.
        unsafe { *shared.work.get() = Some(work) };
        shared.state.fetch_or(OPEN, SeqCst);
        let close = Close(shared);
        shared.jobs.fetch_add(1, SeqCst);
        if shared.sleepers.load(SeqCst) > 0 {
            // With the lock, so that nobody is between its last look and its sleep.
            drop(shared.sleep.lock());
            shared.wake.notify_all();
        }
        work(0);
        drop(close);
        assert!(!shared.panicked.load(SeqCst), "a task on another thread panicked");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        drop(self.shared.sleep.lock());
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what its tasks throw, so there is nothing to pass on.
            let _ = worker.join();
        }
    }
}

/// Puts back what [`for_each`] found.
struct Restore(*const Pool);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Lets nobody in any more, and waits for those inside.
struct Close<'a>(&'a Shared);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_and(!OPEN, SeqCst);
        let mut looks = 0;
        while self.0.state.load(SeqCst) != 0 {
            pause(&mut looks);
        }
    }
}

fn pause(looks: &mut usize) {
    *looks += 1;
    if *looks < EAGER_LOOKS { std::hint::spin_loop() } else { std::thread::yield_now() }
}

impl Shared {
    /// The life of worker `number`.
    fn serve(&self, number: usize) {
        let mut done = 0;
        while self.await_job(done) {
            done = self.jobs.load(SeqCst);
            if self.state.fetch_add(1, SeqCst) & OPEN != 0 {
                // SAFETY: inside, and the state was open: the asking thread waits.
                let work = unsafe { *self.work.get() };
                let call = || work.into_iter().for_each(|work| work(number));
                if catch_unwind(AssertUnwindSafe(call)).is_err() {
                    self.panicked.store(true, SeqCst);
                }
            }
            self.state.fetch_sub(1, SeqCst);
        }
    }

    /// Returns true when there are more than `done` jobs, false when the pool is dropped.
    fn await_job(&self, done: usize) -> bool {
        let news = || self.jobs.load(SeqCst) != done || self.stop.load(SeqCst);
        let (start, mut looks) = (Instant::now(), 0);
        while !news() && (looks < EAGER_LOOKS || start.elapsed() < AWAKE) {
            pause(&mut looks);
        }
        if !news() {
            let mut lock = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            self.sleepers.fetch_add(1, SeqCst);
            while !news() {
                lock = self.wake.wait(lock).unwrap_or_else(PoisonError::into_inner);
            }
            self.sleepers.fetch_sub(1, SeqCst);
        }
        !self.stop.load(SeqCst)
    }
}

/// Calls `task` with every item, on the threads of the pool that is installed.
///
/// Half of the threads take items from the front and half from the back: with two of them,
/// each meets in one operation what it wrote to its own cache in the operation before.
pub fn for_each<I>(items: I, task: impl Fn(I::Item) + Sync)
where
    I: DoubleEndedIterator + Send,
{
    let pool = CURRENT.replace(std::ptr::null());
    let _restore = Restore(pool);
    // SAFETY: `install` borrows the pool for as long as the pointer is set on this thread.
    match unsafe { pool.as_ref() } {
        Some(pool) if pool.threads() > 1 => {
            let items = Mutex::new(items);
            pool.run(&|number| {
                let next = || {
                    let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
                    if number.is_multiple_of(2) { items.next() } else { items.next_back() }
                };
                while let Some(item) = next() {
                    task(item);
                }
            });
        }
        _ => items.for_each(task),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_met_once() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads).unwrap();
            for len in 0..300 {
                let mut seen = vec![0; len];
                pool.install(|| for_each(seen.iter_mut().enumerate(), |(i, x)| *x += i + 1));
                assert!(seen.iter().enumerate().all(|(i, &x)| x == i + 1));
            }
        }
    }

    #[test]
    fn sleeping_workers_and_nested_calls_are_no_obstacle() {
        let pool = Pool::new(2).unwrap();
        for _ in 0..3 {
            std::thread::sleep(2 * AWAKE);
            let sum = AtomicUsize::new(0);
            let add = |i| for_each(0..i, |_| _ = sum.fetch_add(1, SeqCst));
            pool.install(|| for_each(0..10, add));
            assert_eq!(sum.into_inner(), 45);
        }
    }

    #[test]
    fn a_panic_arrives_and_the_pool_survives_it() {
        let pool = Pool::new(2).unwrap();
        for bad in [0, 99] {
            let run = || for_each(0..100, |i| assert!(i != bad));
            assert!(catch_unwind(AssertUnwindSafe(|| pool.install(run))).is_err());
            pool.install(|| for_each(0..100, |_| ()));
        }
    }
}
