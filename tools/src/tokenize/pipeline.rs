//! The threads: one reader, several workers, and the caller, who gets the
//! encoded batches in input order.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::batch::{Batch, Batcher, ReadTally};
use super::worker::{Encoded, Worker};
use crate::Error;
use crate::text::Reader;
use crate::tokenizer::Tokenizer;

/// What the threads share.
pub(super) struct Pipeline<'a> {
    pub(super) files: &'a [PathBuf],
    pub(super) tokenizer: Tokenizer,
    pub(super) field: &'a str,
    pub(super) skip_bad: bool,
    pub(super) threads: usize,
    pub(super) cancel: &'a AtomicBool,
    pub(super) bytes_read: &'a AtomicU64,
}

/// A batch, and where its tokens are to go.
type Job = (Batch, Sender<Encoded>);

impl Pipeline<'_> {
    /// Calls `write` with every encoded batch, in input order. Ends at the first
    /// error in input order, whichever thread met it.
    pub(super) fn run(
        &self,
        write: &mut dyn FnMut(Encoded) -> Result<(), Error>,
    ) -> Result<ReadTally, Error> {
        let (jobs, job_queue) = channel::<Job>();
        let job_queue = &Mutex::new(job_queue);
        thread::scope(|scope| {
            // A batch's answer is put in the queue before the batch is handed out, so
            // the queue is in input order and its length bounds what is in flight.
            let in_flight = 2 * self.threads + 2;
            let (queue, answers) = sync_channel::<Receiver<Encoded>>(in_flight);
            for _ in 0..self.threads {
                scope.spawn(move || self.work(job_queue));
            }
            let reading = scope.spawn(move || self.read(&queue, &jobs));
            let written = self.collect(&answers, write);
            // Closes the queue, so that the reader stops if it is not yet done.
            drop(answers);
            let read = reading.join().map_err(|_| Error::WorkerLost)?;
            written?;
            read
        })
    }

    fn collect(
        &self,
        answers: &Receiver<Receiver<Encoded>>,
        write: &mut dyn FnMut(Encoded) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for answer in answers {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let mut encoded = answer.recv().map_err(|_| Error::WorkerLost)?;
            if let Some(failure) = encoded.failure.take() {
                return Err(failure);
            }
            write(encoded)?;
        }
        Ok(())
    }

    fn read(
        &self,
        queue: &SyncSender<Receiver<Encoded>>,
        jobs: &Sender<Job>,
    ) -> Result<ReadTally, Error> {
        let mut hand_on = |batch| {
            let (sender, receiver) = channel();
            // Either fails only when the caller has stopped listening.
            queue.send(receiver).map_err(|_| Error::Cancelled)?;
            jobs.send((batch, sender)).map_err(|_| Error::Cancelled)
        };
        let mut tally = ReadTally::default();
        let mut batcher = Batcher::new(self.skip_bad, &mut tally, &mut hand_on);
        let mut reader =
            Reader { field: self.field, bytes_read: self.bytes_read, sink: &mut batcher };
        let result = self.files.iter().try_for_each(|file| {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            reader.read_file(file)
        });
        batcher.flush()?;
        result.map(|()| tally)
    }

    fn work(&self, jobs: &Mutex<Receiver<Job>>) {
        let mut worker = Worker::new(&self.tokenizer, self.field, self.skip_bad);
        loop {
            // The lock is held while waiting: whoever has it takes the next batch.
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((batch, answer)) = job else {
                return;
            };
            // Fails only when the caller has stopped listening.
            let _ = answer.send(worker.encode(&batch));
        }
    }
}
