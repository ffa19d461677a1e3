//! How cases went, as JUnit XML: a suite for each policy, as editors and build servers show tests.

use std::fmt::Write;

use crate::policy::cases::{CaseReport, CaseResult};

/// The report of a pack.
pub fn report(pack: &str, report: &CaseReport) -> String {
    let (all, failed) = (report.results.len(), report.failures().count());
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{pack}\" tests=\"{all}\" failures=\"{failed}\">\n"
    );
    for suite in report.results.chunk_by(|a, b| a.policy == b.policy) {
        let policy = suite.first().map_or("", |result| result.policy.as_str());
        let failed = suite.iter().filter(|result| !result.passed()).count();
        let tests = suite.len();
        let _ = writeln!(xml, "  <testsuite name=\"{policy}\" tests=\"{tests}\" failures=\"{failed}\">");
        suite.iter().for_each(|result| case(&mut xml, result));
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>");
    xml
}

fn case(xml: &mut String, result: &CaseResult) {
    let CaseResult { policy, name, file, line, differences } = result;
    let _ = write!(
        xml,
        "    <testcase classname=\"{policy}\" name=\"{}\" file=\"{}\" line=\"{line}\"",
        escaped(name),
        escaped(file)
    );
    if result.passed() {
        xml.push_str("/>\n");
        return;
    }
    let first = differences.first().map(|first| escaped(first)).unwrap_or_default();
    let all = escaped(&differences.join("\n"));
    let _ = writeln!(xml, ">\n      <failure message=\"{first}\">{all}</failure>\n    </testcase>");
}

/// Text with what means something in XML written otherwise; characters that XML can't have become `\u{fffd}`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\u{0}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_stand_in_their_cases_and_nothing_of_a_name_is_markup() {
        let result = |policy: &str, name: &str, differences: &[&str]| CaseResult {
            policy: policy.to_owned(),
            name: name.to_owned(),
            file: format!("cases/{policy}.toml"),
            line: 3,
            differences: differences.iter().map(|one| (*one).to_owned()).collect(),
        };
        let results = vec![
            result("grade", "just below <20>", &[]),
            result("grade", "\"at\" 20\u{1}", &["outcome: expected '1', got '2'", "score: a & b"]),
            result("level", "none", &[]),
        ];
        let xml = report("mill", &CaseReport { results, untested: Vec::new() });
        assert!(xml.contains("<testsuites name=\"mill\" tests=\"3\" failures=\"1\">"), "{xml}");
        assert!(xml.contains("<testsuite name=\"grade\" tests=\"2\" failures=\"1\">"), "{xml}");
        assert!(xml.contains("name=\"just below &lt;20&gt;\" file=\"cases/grade.toml\" line=\"3\"/>"), "{xml}");
        assert!(xml.contains("name=\"&quot;at&quot; 20\u{fffd}\""), "{xml}");
        assert!(xml.contains(">outcome: expected '1', got '2'&#10;score: a &amp; b</failure>"), "{xml}");
        assert!(xml.contains("<testsuite name=\"level\" tests=\"1\" failures=\"0\">"), "{xml}");
    }
}
