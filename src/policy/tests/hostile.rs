//! Scripts that mean harm: each is refused or stopped, and the process lives.

use std::time::{Duration, Instant};

use super::*;

fn stopped(body: &str) -> String {
    let begun = Instant::now();
    let message = failed(&format!("fn deep(x) {{ deep(x + 1) }}\nfn decide(customer, context) {{\n{body}\n}}"));
    assert!(begun.elapsed() < Duration::from_secs(10), "{message}");
    message
}

#[test]
fn loops_without_end_are_stopped() {
    let message = stopped("let x = 0; while true { x += 1; } decision(\"1\")");
    assert!(message.contains("stopped after"), "{message}");
}

#[test]
fn recursion_is_stopped() {
    let message = stopped("decision(text(deep(1)))");
    assert!(message.contains("16 deep"), "{message}");
}

#[test]
fn sixteen_calls_may_lie_in_each_other() {
    let text = |calls: u32| {
        format!(
            "fn deep(x) {{ if x > 1 {{ deep(x - 1) }} else {{ x }} }}\nfn decide(customer, context) {{ decision(text(deep({calls}))) }}"
        )
    };
    assert_eq!(decided(&text(16)).outcome, "1");
    assert!(failed(&text(17)).contains("16 deep"));
}

#[test]
fn texts_and_lists_stay_small() {
    let message = stopped("let s = \"0123456789\"; for i in 0..30 { s += s; } decision(s)");
    assert!(message.contains("too large") || message.contains("exceeds"), "{message}");
    let message = stopped("let a = [1]; for i in 0..30 { a = [a, a]; } decision(\"1\")");
    assert!(message.contains("too large") || message.contains("exceeds"), "{message}");
}

#[test]
fn nested_lists_can_not_exhaust_the_stack() {
    let message =
        stopped("let a = []; for i in 0..5000 { a = [a]; } if a in [a] { decision(\"1\") } else { decision(\"2\") }");
    assert!(message.contains("too large") || message.contains("exceeds"), "{message}");
}

#[test]
fn time_is_limited_where_operations_are_not() {
    let body = "let s = \"\"; for i in 0..6000 { s += \"0123456789\"; }\nlet n = 0; while n < 900000 { n += 1; if s.contains(\"zz\") { n += 2; } } decision(\"1\")";
    let message = stopped(body);
    assert!(message.contains("stopped after"), "{message}");
}

#[test]
fn what_reaches_outside_is_refused() {
    for text in [
        "import \"x\" as x; fn decide(customer, context) { decision(\"1\") }",
        "fn decide(customer, context) { eval(\"1\"); decision(\"1\") }",
        "fn decide(customer, context) { try { decision(\"1\") } catch { decision(\"2\") } }",
        "fn decide(customer, context) { let f = |x| x; decision(\"1\") }",
        "fn decide(customer, context) { sleep(10); decision(\"1\") }",
        "fn decide(customer, context) { decision(this.x) }",
        "fn max(a, b) { 99 } fn decide(customer, context) { decision(\"1\") }",
        "fn bands(a, b) { 99 } fn decide(customer, context) { decision(\"1\") }",
        "const C = #{ a: 1 }; C.a = 5; fn decide(customer, context) { decision(\"1\") }",
        "const C = #{ a: 1 }; fn decide(customer, context) { C.a = 5; decision(\"1\") }",
    ] {
        let found = faults(text);
        assert!(!found.is_empty(), "{text}");
    }
}

#[test]
fn deep_nesting_is_a_fault() {
    let on_a_large_stack = |text: String| {
        std::thread::Builder::new().stack_size(16 << 20).spawn(move || faults(&text)).unwrap().join().unwrap()
    };
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(5_000), close.repeat(5_000));
    for body in [nested("(", ")"), nested("[", "]"), nested("-", ""), nested("if true {", "}"), nested("f(", ")")] {
        let found = on_a_large_stack(format!("fn decide(customer, context) {{ {body} }}"));
        assert!(!found.is_empty());
    }
    let functions = (0..150).map(|i| format!("fn f{i}(x) {{ f{}(((((((x))))))) }}\n", i + 1)).collect::<String>();
    let chain = format!("{functions}fn f150(x) {{ x }}\nfn decide(customer, context) {{ f0(decision(\"1\")) }}");
    let found = on_a_large_stack(chain);
    assert_eq!(found[0].code, "too_deep");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let found = faults(&"// long\n".repeat(40_000));
    assert_eq!(found[0].code, "too_large");
}
