//! The description of the service, for clients that are made from one.

use std::fmt::Write as _;

use super::{ENCODING, SERVICE};

/// A method: its name, its arguments in order, and the name and type of its result.
struct Operation {
    name: &'static str,
    arguments: &'static [(&'static str, &'static str)],
    result: (&'static str, &'static str),
}

/// What the end point for readers has.
const OPERATIONS: [Operation; 4] = [
    Operation {
        name: "error",
        arguments: &[("code", "xsd:int"), ("lang", "xsd:string")],
        result: ("result", "xsd:string"),
    },
    Operation {
        name: "getCookies",
        arguments: &[("user", "xsd:string"), ("password", "xsd:string")],
        result: ("session", "tns1:GetCookieResponse"),
    },
    Operation {
        name: "getAttributes",
        arguments: &[("id", "xsd:string")],
        result: ("session", "tns1:GetAttributesResponse"),
    },
    Operation {
        name: "isAuthorizedURI",
        arguments: &[("id", "xsd:string"), ("uri", "xsd:string")],
        result: ("result", "xsd:int"),
    },
];

/// The description of the end point at `location`, whose sessions have a cookie of this name and export these attributes.
#[must_use]
pub fn wsdl<'n>(location: &str, cookie_name: &str, attributes: impl Iterator<Item = &'n str>) -> String {
    let mut description = String::with_capacity(8192);
    // Writing into a string does not fail.
    let _ = write(&mut description, location, cookie_name, attributes);
    description
}

fn write<'n>(
    out: &mut String,
    location: &str,
    cookie_name: &str,
    attributes: impl Iterator<Item = &'n str>,
) -> std::fmt::Result {
    write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<wsdl:definitions targetNamespace=\"{SERVICE}\" \
         xmlns:impl=\"{SERVICE}\" xmlns:tns1=\"{SERVICE}\" xmlns:wsdl=\"http://schemas.xmlsoap.org/wsdl/\" \
         xmlns:wsdlsoap=\"http://schemas.xmlsoap.org/wsdl/soap/\" xmlns:soapenc=\"{ENCODING}\" \
         xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\n<wsdl:types>\n<schema targetNamespace=\"{SERVICE}\" \
         xmlns=\"http://www.w3.org/2001/XMLSchema\">\n<import namespace=\"{ENCODING}\"/>\n"
    )?;
    sequence(
        out,
        "CookiesSequence",
        [format!("name=\"{}\" type=\"xsd:string\"", Quoted(cookie_name))].into_iter(),
    )?;
    sequence(
        out,
        "AttributesSequence",
        attributes.map(|name| format!("name=\"{}\" type=\"xsd:string\" nillable=\"true\"", Quoted(name))),
    )?;
    for (name, code, held, kind) in [
        ("GetCookieResponse", "errorCode", "cookies", "CookiesSequence"),
        ("GetAttributesResponse", "error", "attributes", "AttributesSequence"),
    ] {
        let elements = [
            format!("name=\"{code}\" type=\"xsd:int\""),
            format!("name=\"{held}\" minOccurs=\"0\" type=\"tns1:{kind}\""),
        ];
        sequence(out, name, elements.into_iter())?;
    }
    out.push_str("</schema>\n</wsdl:types>\n");
    messages(out)?;
    port(out)?;
    binding(out)?;
    write!(
        out,
        "<wsdl:service name=\"sessionsService\">\n<wsdl:port binding=\"impl:sessionsBinding\" name=\"sessionsPort\">\n\
         <wsdlsoap:address location=\"{}\"/>\n</wsdl:port>\n</wsdl:service>\n</wsdl:definitions>\n",
        Quoted(location)
    )
}

fn sequence(out: &mut String, name: &str, mut elements: impl Iterator<Item = String>) -> std::fmt::Result {
    writeln!(out, "<complexType name=\"{name}\">\n<sequence>")?;
    elements.try_for_each(|element| writeln!(out, "<element {element}/>"))?;
    writeln!(out, "</sequence>\n</complexType>")
}

fn messages(out: &mut String) -> std::fmt::Result {
    for Operation { name, arguments, result } in &OPERATIONS {
        writeln!(out, "<wsdl:message name=\"{name}Request\">")?;
        for (part, kind) in *arguments {
            writeln!(out, "<wsdl:part name=\"{part}\" type=\"{kind}\"/>")?;
        }
        let (part, kind) = result;
        writeln!(
            out,
            "</wsdl:message>\n<wsdl:message name=\"{name}Response\">\n<wsdl:part name=\"{part}\" type=\"{kind}\"/>\n\
             </wsdl:message>"
        )?;
    }
    Ok(())
}

fn port(out: &mut String) -> std::fmt::Result {
    writeln!(out, "<wsdl:portType name=\"sessionsPortType\">")?;
    for Operation { name, arguments, .. } in &OPERATIONS {
        let order: Vec<&str> = arguments.iter().map(|(part, _)| *part).collect();
        writeln!(out, "<wsdl:operation name=\"{name}\" parameterOrder=\"{}\">", order.join(" "))?;
        for (side, message) in [("input", "Request"), ("output", "Response")] {
            writeln!(out, "<wsdl:{side} message=\"impl:{name}{message}\" name=\"{name}{message}\"/>")?;
        }
        writeln!(out, "</wsdl:operation>")?;
    }
    writeln!(out, "</wsdl:portType>")
}

fn binding(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "<wsdl:binding name=\"sessionsBinding\" type=\"impl:sessionsPortType\">\n\
         <wsdlsoap:binding style=\"rpc\" transport=\"http://schemas.xmlsoap.org/soap/http\"/>"
    )?;
    for Operation { name, .. } in &OPERATIONS {
        writeln!(out, "<wsdl:operation name=\"{name}\">\n<wsdlsoap:operation soapAction=\"\"/>")?;
        for (side, message) in [("input", "Request"), ("output", "Response")] {
            writeln!(
                out,
                "<wsdl:{side} name=\"{name}{message}\">\n<wsdlsoap:body encodingStyle=\"{ENCODING}\" \
                 namespace=\"{SERVICE}\" use=\"encoded\"/>\n</wsdl:{side}>"
            )?;
        }
        writeln!(out, "</wsdl:operation>")?;
    }
    writeln!(out, "</wsdl:binding>")
}

/// Text between quotation marks.
struct Quoted<'t>(&'t str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => formatter.write_str("&amp;"),
            '<' => formatter.write_str("&lt;"),
            '"' => formatter.write_str("&quot;"),
            character if super::document::is_allowed(character) => formatter.write_char(character),
            _ => Ok(()),
        })
    }
}
