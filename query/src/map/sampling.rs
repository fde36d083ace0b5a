//! How many spans a sampled span stands for: its adjusted count, as the W3C `tracestate` tells it.
//!
//! Only what OpenTelemetry's samplers write under the key `ot` counts: the rejection threshold `th` of consistent
//! probability sampling, else the exponent `p` of its older form. Samplers that leave no trace of themselves cannot be
//! made good. Source: OpenTelemetry specification, "TraceState: Probability Sampling" (`th`: 1 to 14 hex digits of a
//! threshold T below 2^56, a span is kept when its randomness is at least T) and its experimental predecessor
//! (`p`: 0 to 62 for a probability of 2^-p, 63 for a span that counts for none).

/// Hex digits of a threshold; fewer are filled up with zeros behind.
const THRESHOLD_DIGITS: usize = 14;

/// `p` of a span that was kept for another reason than probability.
const P_NONE: u32 = 63;

/// The adjusted count that a `tracestate` tells; 1 where it tells none. Rounded to single precision.
#[expect(clippy::cast_possible_truncation, reason = "counts up to 2^62 lie in the range of f32")]
pub(crate) fn adjusted_count(trace_state: Option<&str>) -> f32 {
    trace_state.and_then(told).unwrap_or(1.0) as f32
}

fn told(trace_state: &str) -> Option<f64> {
    let ot = trace_state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    let value = |key: &str| ot.split(';').find_map(|pair| pair.strip_prefix(key)?.strip_prefix(':'));
    value("th").and_then(by_threshold).or_else(|| value("p").and_then(by_exponent))
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn by_threshold(hex: &str) -> Option<f64> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if hex.is_empty() || hex.len() > THRESHOLD_DIGITS || !hex.bytes().all(is_digit) {
        return None;
    }
    let digits = u64::from_str_radix(hex, 16).ok()?;
    let threshold = digits << (4 * (THRESHOLD_DIGITS - hex.len()));
    let all = 1_u64 << 56;
    Some(all as f64 / (all - threshold) as f64)
}

fn by_exponent(decimal: &str) -> Option<f64> {
    let p: u32 = decimal.parse().ok().filter(|p| *p <= P_NONE)?;
    Some(if p == P_NONE { 0.0 } else { f64::from(p).exp2() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_or_an_exponent_tells_how_many_spans_one_stands_for() {
        let check = |trace_state: &str, expected: f32| {
            assert_eq!(adjusted_count(Some(trace_state)), expected, "{trace_state}");
        };
        assert_eq!(adjusted_count(None), 1.0);
        check("", 1.0);
        check("ot=th:0", 1.0);
        check("ot=th:8", 2.0);
        check("ot=th:c", 4.0);
        check("ot=th:e6666666666668", 10.0);
        check("ot=th:fd70a3d70a3d71", 100.0);
        check("ot=rv:d29d6a7215ced0;th:8", 2.0);
        check("vendor=x:1;th:c, ot=th:8;rv:d29d6a7215ced0,other=y", 2.0);
        check("ot=th:ffffffffffffff", 72_057_594_037_927_936.0);
        check("ot=p:3;r:5", 8.0);
        check("ot=p:0", 1.0);
        check("ot=p:63", 0.0);
        check("ot=th:c;p:1", 4.0);
        // What is not as the specification says tells nothing.
        for odd in ["ot=th:", "ot=th:G", "ot=th:C", "ot=th:+1", "ot=th:000000000000000", "ot=p:64", "ot=p:x", "th:8"] {
            check(odd, 1.0);
        }
        check("ot=th:zz;p:2", 4.0);
    }
}
