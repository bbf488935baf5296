//! What is put into a stream of the double: run at once, or captured and run with its graph.

use std::collections::HashMap;

use ltm_ptx::Arg;

use super::super::Code;
use super::super::api::{GraphApi, Handle, Outcome};
use super::double::{Double, Script};

/// What a graph can hold.
#[derive(Clone)]
pub enum Work {
    Launch { function: Handle, grid: [u32; 3], block: [u32; 3], shared_bytes: u32, args: Vec<u64> },
    Copy { from: u64, to: u64, bytes: usize },
    Zero { at: u64, bytes: usize },
}

/// Captures and what became of them.
#[derive(Default)]
pub struct Captures {
    /// The stream, what was put into it, and whether a call has broken it.
    current: Option<(Handle, Vec<Work>, bool)>,
    graphs: HashMap<Handle, Vec<Work>>,
    executables: HashMap<Handle, Vec<Work>>,
}

impl Captures {
    /// The result of a call that does not go together with a capture, which it breaks.
    pub fn forbids(&mut self, call: &str) -> Option<Code> {
        let (_, _, broken) = self.current.as_mut()?;
        match call {
            "enter" | "copy" | "zero" | "launch" | "end_capture" => None,
            _ => {
                *broken = true;
                Some(Code(900))
            }
        }
    }

    /// Whether nothing can be launched any more.
    pub fn are_gone(&self) -> bool {
        self.current.is_none() && self.graphs.is_empty() && self.executables.is_empty()
    }
}

impl Double {
    /// Puts work into a stream.
    pub fn put(&self, call: &'static str, stream: Handle, work: Work) -> Outcome<()> {
        let mut script = match self.begin(call) {
            Ok(script) => script,
            Err(code) => {
                // As of the real driver: what it refuses breaks the capture.
                if let Some((_, _, broken)) = &mut self.script().captures.current {
                    *broken = true;
                }
                return Err(code);
            }
        };
        match &mut script.captures.current {
            Some((captured, works, _)) if *captured == stream => works.push(work),
            _ => self.run(&mut script, &work),
        }
        Ok(())
    }

    fn run(&self, script: &mut Script, work: &Work) {
        match work {
            Work::Launch { function, grid, block, shared_bytes, args } => {
                script.clock += 1.0;
                let (module, name, _) = &script.functions[function];
                if let Some((_, code)) = script.faulty.filter(|(faulty, _)| faulty == name) {
                    script.pending = Some(code);
                    return;
                }
                let (program, text) = &script.programs[module];
                let args = arguments(text, name, args);
                self.gpu.launch(program, name, *grid, *block, *shared_bytes, &args).unwrap();
            }
            &Work::Copy { from, to, bytes } => self.gpu.copy(from, to, bytes).unwrap(),
            &Work::Zero { at, bytes } => self.gpu.zero(at, bytes).unwrap(),
        }
    }
}

impl GraphApi for Double {
    fn begin_capture(&self, stream: Handle) -> Outcome<()> {
        self.begin("begin_capture")?.captures.current = Some((stream, Vec::new(), false));
        Ok(())
    }

    fn end_capture(&self, stream: Handle) -> Outcome<Handle> {
        let capture = self.script().captures.current.take();
        let graph = self.make("end_capture")?;
        let (captured, works, broken) = capture.expect("a capture");
        assert_eq!(captured, stream);
        if broken {
            self.script().alive.retain(|alive| *alive != graph);
            return Err(Code(901));
        }
        self.script().captures.graphs.insert(graph, works);
        Ok(graph)
    }

    fn instantiate(&self, graph: Handle) -> Outcome<Handle> {
        let executable = self.make("instantiate")?;
        let captures = &mut self.script().captures;
        let works = captures.graphs[&graph].clone();
        captures.executables.insert(executable, works);
        Ok(executable)
    }

    fn destroy_graph(&self, graph: Handle) -> Outcome<()> {
        self.give_back("destroy_graph", graph)?;
        self.script().captures.graphs.remove(&graph).expect("a graph");
        Ok(())
    }

    unsafe fn launch_graph(&self, executable: Handle, _: Handle) -> Outcome<()> {
        let mut script = self.begin("launch_graph")?;
        let works = script.captures.executables[&executable].clone();
        works.iter().for_each(|work| self.run(&mut script, work));
        Ok(())
    }

    fn destroy_executable(&self, executable: Handle) -> Outcome<()> {
        self.give_back("destroy_executable", executable)?;
        self.script().captures.executables.remove(&executable).expect("an executable");
        Ok(())
    }
}

/// The words of a launch as the parameters in the text declare them.
fn arguments(ptx: &str, name: &str, words: &[u64]) -> Vec<Arg> {
    let entry = ptx.split(&format!(".entry {name}(")).nth(1).expect("an entry point");
    let types = entry.split(')').next().unwrap().lines().filter_map(|line| {
        line.trim().strip_prefix(".param .").map(|rest| rest.split_whitespace().next().unwrap())
    });
    let types: Vec<&str> = types.collect();
    assert_eq!(types.len(), words.len(), "{name}");
    let one = |(ty, word): (&str, u64)| match ty {
        "u64" | "s64" | "b64" => Arg::U64(word),
        "f64" => Arg::F64(f64::from_bits(word)),
        "f32" => Arg::F32(f32::from_bits(word as u32)),
        _ => Arg::U32(word as u32),
    };
    types.into_iter().zip(words.iter().copied()).map(one).collect()
}
