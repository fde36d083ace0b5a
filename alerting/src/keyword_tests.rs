//! What matches what: languages, case, exclusions, conditions, fields.

use super::*;
use crate::exception::occurrence::{self, Occurrences};
use crate::record::LogRows;
use crate::rule::pack;
use crate::sample_data::{Line, line, logs, spans};

fn matcher(rules: &[&str]) -> Matcher {
    let rules: Vec<Arc<Rule>> = rules
        .iter()
        .map(|body| {
            let rule: Rule = serde_json::from_str(body).expect(body);
            assert_eq!(rule.problems("rule"), Vec::<String>::new(), "{body}");
            Arc::new(rule)
        })
        .collect();
    Matcher::new(&rules).unwrap()
}

fn hits(matcher: &Matcher, lines: &[Line]) -> Vec<(usize, String)> {
    let batch = logs(lines);
    let found = matcher.match_logs(&LogRows::new(batch.rows()));
    found.into_iter().map(|hit| (hit.row, hit.rule.id.clone())).collect()
}

fn check(rule: &str, line: &Line, expected: bool) {
    let found = hits(&matcher(&[rule]), std::slice::from_ref(line));
    assert_eq!(!found.is_empty(), expected, "{rule} on {:?}", line.body);
}

#[test]
fn keywords_are_found_in_every_language_and_case() {
    check(r#"{"id":"r","keywords":["out of memory"]}"#, &line("Java heap: OUT OF MEMORY!"), true);
    check(r#"{"id":"r","keywords":["Out Of Memory"]}"#, &line("ran out of memory"), true);
    check(r#"{"id":"r","keywords":["memory"]}"#, &line("disk"), false);
    check(r#"{"id":"r","keywords":["메모리 부족"]}"#, &line("서버에 메모리 부족 현상이 발생했습니다"), true);
    check(r#"{"id":"r","keywords":["메모리 부족"]}"#, &line("메모리는 충분합니다"), false);
    check(r#"{"id":"r","keywords":["ÉCHEC"]}"#, &line("paiement: échec du débit"), true);
    check(r#"{"id":"r","keywords":["échec"]}"#, &line("ÉCHEC DU DÉBIT"), true);
    check(r#"{"id":"r","keywords":["Fatal"],"case_sensitive":true}"#, &line("fatal"), false);
    check(r#"{"id":"r","keywords":["Fatal"],"case_sensitive":true}"#, &line("a Fatal one"), true);
}

#[test]
fn patterns_are_not_anchored_and_follow_the_rules_case() {
    check(r#"{"id":"r","patterns":["timeout after \\d+ms"]}"#, &line("GET /x: Timeout after 3000ms (1)"), true);
    check(r#"{"id":"r","patterns":["^timeout"]}"#, &line("a timeout"), false);
    check(r#"{"id":"r","patterns":["Timeout"],"case_sensitive":true}"#, &line("timeout"), false);
    check(r#"{"id":"r","patterns":["결제.*실패"]}"#, &line("결제 요청이 실패했습니다"), true);
}

#[test]
fn exclusions_and_conditions_narrow_a_match() {
    let rule = r#"{"id":"r","keywords":["refused"],"not":["health check"]}"#;
    check(rule, &line("connection refused"), true);
    check(rule, &line("Health Check: connection refused"), false);
    let rule = r#"{"id":"r","keywords":["x"],"services":["cart"]}"#;
    check(rule, &line("x"), false);
    check(rule, &Line { service: "cart", ..line("x") }, true);
    let rule = r#"{"id":"r","keywords":["x"],"min_severity":"ERROR"}"#;
    check(rule, &Line { severity: 13, ..line("x") }, false);
    check(rule, &Line { severity: 17, ..line("x") }, true);
    check(r#"{"id":"r","min_severity":"FATAL"}"#, &Line { severity: 21, ..line("anything") }, true);
    check(r#"{"id":"r","keywords":["x"],"where":{"k8s.namespace.name":"shop"}}"#, &line("x"), true);
    check(r#"{"id":"r","keywords":["x"],"where":{"k8s.namespace.name":"prod"}}"#, &line("x"), false);
    let coded = Line { rest: Some(r#"{"code":7,"retry":true}"#), ..line("x") };
    check(r#"{"id":"r","keywords":["x"],"where":{"code":7,"retry":true}}"#, &coded, true);
    check(r#"{"id":"r","keywords":["x"],"where":{"code":8}}"#, &coded, false);
    check(r#"{"id":"r","keywords":["x"],"where":{"absent":"x"}}"#, &coded, false);
}

#[test]
fn fields_say_where_to_look() {
    let rule = r#"{"id":"r","keywords":["boom"],"fields":["error.detail","exception.message"]}"#;
    check(rule, &line("boom"), false);
    check(rule, &Line { rest: Some(r#"{"error.detail":"big boom"}"#), ..line("quiet") }, true);
    check(rule, &Line { exception_message: Some("boom!"), ..line("quiet") }, true);
    check(r#"{"id":"r","keywords":["checkout"],"fields":["service.name"]}"#, &line("quiet"), true);
}

#[test]
fn each_record_is_judged_by_itself_and_by_every_rule() {
    let matcher = matcher(&[
        r#"{"id":"a","keywords":["one"],"not":["two"]}"#,
        r#"{"id":"b","keywords":["two","one"]}"#,
        r#"{"id":"c","keywords":["one"],"fields":["service.name"]}"#,
    ]);
    let lines = [line("one"), line("one two"), line("none"), Line { service: "one", ..line("quiet") }];
    let expected = [(0, "a"), (0, "b"), (1, "b"), (2, "a"), (2, "b"), (3, "c")];
    assert_eq!(hits(&matcher, &lines), expected.map(|(row, id)| (row, id.to_owned())));
}

#[test]
fn shipped_rules_see_what_breaks_and_keep_quiet_otherwise() {
    let rules: Vec<Arc<Rule>> = pack::rules().into_iter().map(Arc::new).collect();
    let matcher = Matcher::new(&rules).unwrap();
    let check = |body: &'static str, expected: &[&str]| {
        let found: Vec<String> = hits(&matcher, &[line(body)]).into_iter().map(|(_, id)| id).collect();
        assert_eq!(found, expected, "{body}");
    };
    check("java.lang.OutOfMemoryError: Java heap space", &["default-memory"]);
    check("panic: runtime error: index out of range", &["default-crash"]);
    check("2026-01-01 FATAL: the database system is shutting down", &["default-crash"]);
    check("dial tcp 10.0.0.1:5432: connect: connection refused", &["default-connection"]);
    check("write /data/x: no space left on device", &["default-disk"]);
    check("ERROR: deadlock detected", &["default-database"]);
    check("tls: certificate has expired or is not yet valid", &["default-certificate"]);
    check("결제 서버 연결 실패: 시간 초과", &["default-korean-connection"]);
    check("치명적 오류: 디스크 공간 부족", &["default-korean-failure"]);
    for quiet in ["order 17 paid", "nonfatal warning", "장애인 할인 적용", "주문이 완료되었습니다", "GET /health 200"]
    {
        check(quiet, &[]);
    }
}

#[test]
fn exceptions_of_spans_and_logs_are_found_and_matched() {
    let rule = r#"{"id":"npe","signal":"exceptions","keywords":["NullPointer"]}"#;
    let matcher = matcher(&[rule, r#"{"id":"any","signal":"exceptions"}"#]);
    let of_spans = spans(&[
        ("exception", r#"{"exception.type":"java.lang.NullPointerException","exception.message":"cart","thread":1}"#),
        ("log", r#"{"exception.type":"java.lang.NullPointerException"}"#),
        ("exception", r#"{"exception.type":"KeyError","exception.message":"'a'"}"#),
    ]);
    let of_logs = logs(&[
        line("no exception"),
        Line { exception_type: Some("ValueError"), rest: Some(r#"{"exception.stacktrace":"..."}"#), ..line("oh") },
    ]);
    let mut seen = Vec::new();
    for batch in [of_spans, of_logs] {
        let found = occurrence::find(&batch);
        for hit in matcher.match_exceptions(&Occurrences(&found)) {
            seen.push(format!("{} {} {}", hit.rule.id, found[hit.row].source, found[hit.row].kind));
        }
        assert_eq!(occurrence::rows(&found).unwrap().num_rows(), found.len());
    }
    let expected = [
        "npe span java.lang.NullPointerException",
        "any span java.lang.NullPointerException",
        "any span KeyError",
        "any log ValueError",
    ];
    let (mut seen, mut expected) = (seen, expected.map(str::to_owned).to_vec());
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn a_span_repeated_in_one_payload_is_one_exception() {
    let event = ("exception", r#"{"exception.type":"KeyError","exception.message":"'a'"}"#);
    let batch = spans(&[event]);
    let twice = arrow::compute::concat_batches(&batch.rows().schema(), [batch.rows(), batch.rows()]).unwrap();
    let twice = tracelake_model::Batch::new(batch.table(), twice).unwrap();
    assert_eq!(occurrence::find(&twice).len(), 1);
}
