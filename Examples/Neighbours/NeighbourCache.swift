// SPDX-License-Identifier: Apache-2.0

/// What finished searches tell about words that are still to come. When the k neighbours of `a` lie within r of it, then `a`
/// and those of its neighbours that are not `b` are k words within r + d(a, b) of `b`.
actor NeighbourCache {
    private var bounds: [Int: Int] = [:]

    func bound(of index: Int) -> Int? { bounds[index] }

    func note(_ list: [Neighbour], of index: Int) {
        guard let radius = list.last?.distance else { return }
        for neighbour in list {
            bounds[neighbour.index] = min(bounds[neighbour.index] ?? Int.max, radius + neighbour.distance)
        }
    }
}
