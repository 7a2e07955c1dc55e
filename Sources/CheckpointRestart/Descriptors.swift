// SPDX-License-Identifier: Apache-2.0
import CheckpointImage

enum Descriptors {
    static func restore(image: Image, options: RestartOptions, reserved: [Int32]) throws(RestartFailure) -> Int32 { image.descriptor }
}
