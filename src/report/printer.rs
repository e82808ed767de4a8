//! Writes what styles render, at once and whole.

use std::io::{self, Write};

use super::Sink;
use super::config::Outputs;
use super::render::Render;
use crate::run::event::RunEvent;

/// Styles that share the two streams of the program, each speaking in turn.
pub(crate) struct Printer {
    styles: Vec<Box<dyn Render + Send>>,
    outputs: Outputs,
}

impl Printer {
    /// A printer of styles.
    pub(crate) fn new(styles: Vec<Box<dyn Render + Send>>, outputs: Outputs) -> Self {
        Printer { styles, outputs }
    }
}

impl Sink for Printer {
    fn event(&mut self, event: &RunEvent) -> io::Result<()> {
        for style in &mut self.styles {
            let text = style.event(event);
            write(&mut *self.outputs.out, &text.out)?;
            write(&mut *self.outputs.err, &text.err)?;
        }
        Ok(())
    }
}

fn write(stream: &mut dyn Write, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    stream.write_all(text.as_bytes())?;
    stream.flush()
}
