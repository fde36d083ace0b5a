//! Clients of Zipkin and Jaeger send to the running server, to their own doors and to OTLP's; what they sent is found by
//! SQL, as a trace and on the map like any other.

use std::path::Path;

use serde_json::{Value, json};

use crate::house::{House, client};

/// A request recorded of OpenTelemetry's exporters: three spans of the service `checkout`.
fn recorded(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ingest/src/test/foreign/recorded");
    std::fs::read(folder.join(name)).expect("a recorded request")
}

/// A call whose two sides share one id, as Brave reports it.
fn shared() -> Vec<u8> {
    let side = |kind: &str, service: &str, start: u64| {
        json!({
            "traceId": "5af7183fb1d4cf5f", "id": "352bff9a74ca9ad2", "kind": kind, "name": "get /api",
            "timestamp": start, "duration": 900, "localEndpoint": {"serviceName": service},
            "shared": kind == "SERVER",
        })
    };
    let spans = [side("CLIENT", "frontend", 1_556_604_172_355_000), side("SERVER", "backend", 1_556_604_172_355_100)];
    json!(spans).to_string().into_bytes()
}

async fn send(url: String, content_type: &str, body: Vec<u8>) -> (u16, String) {
    let request = client().post(url).header("content-type", content_type).body(body);
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}

#[tokio::test]
async fn spans_of_zipkin_and_jaeger_are_found_like_any_other() {
    let house = House::start_with(&["--listen-zipkin", "127.0.0.1:0", "--listen-jaeger-http", "127.0.0.1:0"]);
    let (zipkin, jaeger) = (house.door("zipkin"), house.door("jaeger_http"));
    let (json, thrift) = ("application/json", "application/vnd.apache.thrift.binary");
    for (url, content_type, body) in [
        (format!("http://{zipkin}/api/v2/spans"), json, shared()),
        // Again, by another door: acknowledged, not stored twice.
        (format!("http://{}/api/v2/spans", house.otlp), json, shared()),
        (format!("http://{}/api/v2/spans", house.otlp), "application/x-protobuf", recorded("zipkin.binpb")),
        (format!("http://{jaeger}/api/traces?format=jaeger.thrift"), thrift, recorded("jaeger.thrift")),
    ] {
        assert_eq!(send(url.clone(), content_type, body).await, (202, String::new()), "{url} {content_type}");
    }
    let (status, told) = send(format!("http://{}/api/traces", house.otlp), thrift, b"no thrift".to_vec()).await;
    assert!(status == 400 && told.contains("Jaeger Thrift"), "{status} {told}");
    let (status, _) = send(format!("http://{zipkin}/v1/traces"), json, b"{}".to_vec()).await;
    assert_eq!(status, 404, "a door of its own takes its own protocol alone");

    let counted = house.sql("SELECT service_name, COUNT(*) AS spans FROM spans GROUP BY 1 ORDER BY 1").await;
    assert_eq!(json!(counted), json!([["backend", "1"], ["checkout", "6"], ["frontend", "1"]]));
    let query = "SELECT kind, status_code, status_message, attr_int(attributes, 'http.response.status_code'), \
         scope_name FROM spans WHERE name = 'POST /cart/{id}'";
    let server = json!(["SERVER", "ERROR", "no stock", "503", "shop.checkout"]);
    assert_eq!(json!(house.sql(query).await), json!([server, server]));

    let map = house.get("/api/v1/service-map?start=2019-04-30T00:00:00Z&end=2019-05-01T00:00:00Z").await;
    let edges: Vec<Value> = map["edges"].as_array().expect("edges").clone();
    assert_eq!(edges.len(), 1, "{map}");
    assert_eq!(
        [&edges[0]["source"], &edges[0]["target"], &edges[0]["kind"], &edges[0]["calls"]],
        [&json!("service:frontend"), &json!("service:backend"), &json!("call"), &json!(1)]
    );
    let trace = house.get("/api/v1/traces/00000000000000005af7183fb1d4cf5f?view=summary").await;
    assert!(trace.to_string().contains("backend"), "{trace}");
}
