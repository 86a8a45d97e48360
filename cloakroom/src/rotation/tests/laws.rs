//! Random nodes, clocks, pauses and crashes: whatever any node sealed opens on every node, as long as it lives.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const NODES: usize = 3;
/// A quarter of `announce`: how long a node may be late, beyond its interval.
const LATE: u64 = 2_000;
/// The simulation goes on by this, in milliseconds.
const TICK: u64 = 100;

/// One node of the simulation: its clock, when it last looked, and the ring that it uses since.
struct Node {
    ahead: Duration,
    rotation: Rotation,
    ring: KeyRing,
    looked: Millis,
}

impl Node {
    fn start(folder: &Path, ahead: Duration, now: Millis) -> Self {
        let mut rotation = node(folder);
        rotation.open(now.plus(ahead)).unwrap();
        let ring = rotation.ring(now.plus(ahead)).unwrap();
        Self { ahead, rotation, ring, looked: now }
    }

    fn look(&mut self, now: Millis) {
        let here = now.plus(self.ahead);
        attend(&mut self.rotation, here);
        self.ring = self.rotation.ring(here).unwrap();
        self.looked = now;
    }

    /// At its interval or when the state of a key changes, and at most so much later.
    fn must_look(&self, now: Millis) -> bool {
        let interval = self.rotation.schedule().interval();
        let change = self.rotation.next_change(self.looked.plus(self.ahead));
        now >= self.looked.plus(interval + Duration::from_millis(LATE))
            || now.plus(self.ahead) >= change.plus(Duration::from_millis(LATE))
    }
}

/// All nodes, and what they have sealed.
struct World {
    nodes: Vec<Node>,
    now: Millis,
    /// With when it dies, in that order.
    values: VecDeque<(Millis, Vec<u8>)>,
}

impl World {
    fn start(folder: &Path, ahead: &[u64]) -> Self {
        let start = |ahead: &u64| Node::start(folder, Duration::from_millis(*ahead), START);
        Self { nodes: ahead.iter().map(start).collect(), now: START, values: VecDeque::new() }
    }

    /// Time passes in small pieces, in which each node does what it must. Twice a second each seals a value of the
    /// longest life.
    fn pass(&mut self, millis: u64) -> Result<(), TestCaseError> {
        for _ in 0..millis.div_ceil(TICK) {
            let next = self.now.plus(Duration::from_millis(TICK));
            while let Some((_, last)) = self.values.pop_front_if(|(dies, _)| *dies <= next) {
                self.opens_everywhere(&last)?;
            }
            self.now = next;
            let now = self.now;
            self.nodes.iter_mut().filter(|node| node.must_look(now)).for_each(|node| node.look(now));
            if now.0.is_multiple_of(500) {
                for number in 0..self.nodes.len() {
                    self.seal(number)?;
                }
            }
        }
        Ok(())
    }

    fn seal(&mut self, node: usize) -> Result<(), TestCaseError> {
        let sealed = self.nodes[node].ring.seal(b"", b"plain").unwrap();
        self.opens_everywhere(&sealed)?;
        self.values.push_back((self.now.plus(SCHEDULE.keep), sealed));
        Ok(())
    }

    fn opens_everywhere(&self, sealed: &[u8]) -> Result<(), TestCaseError> {
        for (number, node) in self.nodes.iter().enumerate() {
            prop_assert!(node.ring.open(b"", sealed).is_ok(), "node {number} cannot open a live value");
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Look(usize),
    Seal(usize),
    Rotate(usize),
    /// The node ends and starts again; a key that it was making stays unfinished.
    Crash(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (1u64..4_000).prop_map(Step::Wait),
        2 => (0..NODES).prop_map(Step::Look),
        6 => (0..NODES).prop_map(Step::Seal),
        1 => (0..NODES * 4).prop_map(|node| if node < NODES { Step::Rotate(node) } else { Step::Wait(500) }),
        1 => (0..NODES).prop_map(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_node_sealed_opens_on_every_node_while_it_lives(
        // As far apart as they may be: half of `announce`.
        ahead in prop::collection::vec(0u64..=4_000, NODES),
        steps in prop::collection::vec(step(), 150..400),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::start(folder.path(), &ahead);
        for step in steps {
            match step {
                Step::Wait(millis) => world.pass(millis)?,
                Step::Look(node) => world.nodes[node].look(world.now),
                Step::Seal(node) => world.seal(node)?,
                Step::Rotate(node) => {
                    let Node { rotation, ahead, .. } = &mut world.nodes[node];
                    let here = world.now.plus(*ahead);
                    rotation.look(here).unwrap();
                    rotation.rotate(here, false).unwrap();
                }
                Step::Crash(node) => {
                    let left = folder.path().join(format!(".unfinished-{}", world.now.0));
                    std::fs::write(left, "cloakroom key 1\n").unwrap();
                    world.nodes[node] = Node::start(folder.path(), world.nodes[node].ahead, world.now);
                }
            }
        }
        world.pass(40_000)?;
    }
}

/// The same without chance, over a hundred rotations of nodes whose clocks are as far apart as they may be.
#[test]
fn a_hundred_rotations_strand_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(folder.path(), &[0, 2_000, 4_000]);
    world.pass(100 * 60_000).unwrap();
    assert!(names(&folder).len() <= 3, "{:?}", names(&folder));
    assert!(names(&folder).iter().any(|name| name.as_str() > "ring-000098.key"));
}
