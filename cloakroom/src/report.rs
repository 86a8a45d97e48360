//! Telling people what went wrong.

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, Report};

use crate::configuration::{LoadError, Problem};

/// As it is drawn on a terminal, without colours: of a configuration each mistake by itself.
#[must_use]
pub fn drawn(report: &Report) -> String {
    let mut text = String::new();
    match problems(report) {
        Some(problems) => {
            for problem in problems {
                draw(&mut text, problem);
            }
            text.push_str(&report.to_string());
        }
        None => draw(&mut text, report.as_ref()),
    }
    text
}

/// As it stands in a log: a line for each mistake, with its cure.
#[must_use]
pub fn lines(report: &Report) -> Vec<String> {
    match problems(report) {
        Some(problems) => problems.iter().map(|problem| format!("{problem}; {}", problem.cure)).collect(),
        None => {
            let mut line = report.to_string();
            for cause in report.chain().skip(1) {
                line.push_str(&format!(": {cause}"));
            }
            if let Some(help) = report.help() {
                line.push_str(&format!("; {help}"));
            }
            vec![line]
        }
    }
}

fn problems(report: &Report) -> Option<&[Problem]> {
    match report.downcast_ref::<LoadError>() {
        Some(LoadError::Wrong(problems)) => Some(problems.list()),
        _ => None,
    }
}

fn draw(text: &mut String, diagnostic: &dyn Diagnostic) {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_context_lines(1)
        .with_wrap_lines(false)
        .with_links(false);
    // Writing to a String does not fail.
    let _ = handler.render_report(text, diagnostic);
}
