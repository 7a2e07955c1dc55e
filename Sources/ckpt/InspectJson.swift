// SPDX-License-Identifier: Apache-2.0

/// A JSON value, written with its members in the order given. (Foundation's encoder would add ten times the size of `ckpt`.)
enum Json {
    case null
    case bool(Bool)
    case number(UInt64)
    case integer(Int64)
    case string(String)
    case array([Json])
    case object([(String, Json)])

    /// Addresses and identifiers are strings: a reader with 53-bit numbers would round them.
    static func address(_ address: UInt64) -> Json { .string("0x" + String(address, radix: 16)) }

    var text: String {
        var out = ""
        write(to: &out, indent: "")
        return out
    }

    private func write(to out: inout String, indent: String) {
        switch self {
        case .null: out += "null"
        case .bool(let value): out += value ? "true" : "false"
        case .number(let value): out += "\(value)"
        case .integer(let value): out += "\(value)"
        case .string(let value): Json.quote(value, to: &out)
        case .array(let values):
            guard !values.isEmpty else { return out += "[]" }
            out += "["
            for (index, value) in values.enumerated() {
                out += (index == 0 ? "\n" : ",\n") + indent + "  "
                value.write(to: &out, indent: indent + "  ")
            }
            out += "\n" + indent + "]"
        case .object(let members):
            // A flat object takes one line: tables stay readable.
            let isFlat = members.allSatisfy { $0.1.isScalar } && !indent.isEmpty
            out += "{"
            for (index, member) in members.enumerated() {
                if isFlat { out += index == 0 ? "" : ", " } else { out += (index == 0 ? "\n" : ",\n") + indent + "  " }
                Json.quote(member.0, to: &out)
                out += ": "
                member.1.write(to: &out, indent: indent + "  ")
            }
            out += isFlat ? "}" : "\n" + indent + "}"
        }
    }

    private var isScalar: Bool {
        switch self {
        case .array(let values): values.isEmpty
        case .object(let members): members.isEmpty
        default: true
        }
    }

    private static func quote(_ value: String, to out: inout String) {
        out += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\t": out += "\\t"
            case _ where scalar.value < 32 || scalar.value == 127:
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        out += "\""
    }
}
