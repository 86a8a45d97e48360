//! Interim answers (1xx) confuse nobody, and let nothing out.

use crate::application::Application;
use crate::given::{Plan, ok, plan};

#[test]
fn interim_answers_of_an_application_end_at_the_gateway() {
    let application = Application::start();
    for has_sessions in [false, true] {
        let gateway = Plan { has_sessions, ..plan(&application) }.start();
        for interim in [
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Replace-Session: a=1\r\n\r\n",
            "HTTP/1.1 102 Processing\r\nX-Replace-Session: a=1\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
            "HTTP/1.1 100 Continue\r\nX-Replace-Session: a=1\r\n\r\n",
            "HTTP/1.1 199 Whatever\r\nX-Replace-Session: a=1\r\nContent-Length: 5\r\n\r\n",
        ] {
            let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n");
            drop(application.answers(format!("{interim}{}", ok("final"))));
            let answer = String::from_utf8(client.rest().unwrap()).unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nfinal"),
                "{answer}"
            );
            assert!(!answer.to_lowercase().contains("replace"), "{answer}");
            assert!(
                !answer.to_lowercase().contains("set-cookie"),
                "an interim answer changes no session: {answer}"
            );
        }
    }
}

#[test]
fn an_interim_answer_does_not_end_the_patience() {
    let application = Application::start();
    let response_timeout = std::time::Duration::from_millis(300);
    let gateway = Plan { response_timeout, ..plan(&application) }.start();
    let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    let _served = application.answers("HTTP/1.1 103 Early Hints\r\n\r\n");
    assert_eq!(client.response().unwrap().status, 504);
}
