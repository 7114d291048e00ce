//! Addresses of topologies that share an engine are kept apart: each reserves in its claim what it
//! takes, before anything is changed.

use std::time::Duration;

use crate::engine::Failure;
use crate::plan::Id;
use crate::resources::base::claim::{self, Claim, Claims, Reservation};
use crate::resources::base::context::Context;
use crate::topology::AddressRange;

/// Two that write at the same moment both take their own back, wait, and look again.
const ATTEMPTS: u32 = 6;
const LONGEST_FIRST_WAIT: Duration = Duration::from_millis(150);

impl Context {
    /// Writes the claim that must be there before the first change, with the addresses it reserves.
    /// Whoever sees, after writing, that another has written too takes its own back: so two never
    /// keep the same address.
    pub async fn stake(&self, wanted: &Claim) -> Result<(), Failure> {
        let mut met = None;
        for attempt in 0..ATTEMPTS {
            pause(attempt).await?;
            let claims = self.refuse_met(&wanted.reserved).await?;
            claim::sweep(&self.docker, &self.name, &claims).await?;
            let before = self.claim().await;
            let generation = before.as_ref().map_or(0, |claim| claim.generation);
            let next = Claim { generation, ..wanted.clone() };
            if before.as_ref() != Some(&next) {
                self.write_claim(next).await?;
            }
            match self.refuse_met(&wanted.reserved).await {
                Ok(_) => return Ok(()),
                Err(failure) => met = Some(failure),
            }
            match before {
                Some(claim) => self.change_claim(|held| held.reserved = claim.reserved).await?,
                None => self.give_up_claim().await?,
            }
        }
        met.map_or(Ok(()), Err)
    }

    /// Chooses addresses away from all that is taken on the network, and reserves them.
    pub async fn reserve(
        &self,
        by: &Id,
        network: &str,
        choose: impl Fn(&[AddressRange]) -> Result<Vec<AddressRange>, Failure>,
    ) -> Result<Vec<AddressRange>, Failure> {
        let _one_at_a_time = self.held.choosing.lock().await;
        let mut met = None;
        for attempt in 0..ATTEMPTS {
            pause(attempt).await?;
            let held = self.claim().await.map(|claim| claim.reserved).unwrap_or_default();
            let (before, beside): (Vec<Reservation>, Vec<Reservation>) =
                held.into_iter().partition(|held| held.by == *by);
            let chosen = choose(&self.taken(network, beside).await?)?;
            let wanted: Vec<Reservation> =
                chosen.iter().map(|range| Reservation::new(network, *range, by)).collect();
            self.hold(by, wanted.clone()).await?;
            match self.refuse_met(&wanted).await {
                Ok(_) => return Ok(chosen),
                Err(failure) => met = Some(failure),
            }
            self.hold(by, before).await?;
        }
        Err(met.unwrap_or_else(|| Failure::new(format!("cannot reserve addresses for `{by}`"))))
    }

    /// From now on a resource has these addresses and no others; none, once it is gone.
    pub async fn hold(&self, by: &Id, wanted: Vec<Reservation>) -> Result<(), Failure> {
        if wanted.is_empty() && self.claim().await.is_none() {
            return Ok(());
        }
        self.change_claim(|claim| {
            claim.reserved.retain(|held| held.by != *by);
            claim.reserved.extend(wanted);
            claim.reserved.sort_unstable();
        })
        .await
    }

    /// Everything on a network that has an address already; `beside` is this topology's own.
    async fn taken(
        &self,
        network: &str,
        beside: Vec<Reservation>,
    ) -> Result<Vec<AddressRange>, Failure> {
        let snapshot = self.snapshot().await?;
        let claims = Claims::read(&snapshot);
        let others = claims.current.values().filter(|claim| claim.topology != self.name);
        let reserved = others
            .flat_map(|claim| &claim.reserved)
            .chain(&beside)
            .filter(|reserved| reserved.network == network)
            .filter_map(Reservation::range);
        let containers = snapshot.on_network(network).flat_map(|container| {
            container.addresses.get(network).into_iter().flat_map(|at| [at.v4, at.v6, at.fixed])
        });
        let there = snapshot.network(network);
        let own_parts = there.iter().flat_map(|network| &network.subnets);
        let handed_out = own_parts.clone().filter_map(|subnet| {
            let range = subnet.range.filter(|range| *range != subnet.net)?;
            AddressRange::new(range.network(), range.broadcast())
        });
        let gateways = own_parts.map(|subnet| subnet.gateway);
        let singles = containers.chain(gateways).flatten();
        Ok(reserved
            .chain(handed_out)
            .chain(singles.filter_map(|address| AddressRange::new(address, address)))
            .collect())
    }

    /// Refuses addresses that another topology has reserved.
    async fn refuse_met(&self, wanted: &[Reservation]) -> Result<Claims, Failure> {
        let claims = Claims::read(&self.snapshot().await?);
        let Some((wanted, other, theirs)) = claims.conflict(&self.name, wanted) else {
            return Ok(claims);
        };
        Err(Failure::new(format!(
            "`{}` would take {} on the network `{}`, and `{}` of the topology `{}` has {}",
            wanted.by,
            wanted.addresses(),
            wanted.network,
            theirs.by,
            other.topology,
            theirs.addresses()
        ))
        .hint(format!("choose other addresses; the other file is `{}`", other.file)))
    }
}

/// A while that is another for each of two.
async fn pause(attempt: u32) -> Result<(), Failure> {
    if attempt == 0 {
        return Ok(());
    }
    let mut drawn = [0];
    getrandom::fill(&mut drawn)
        .map_err(|error| Failure::because("the system gives no random numbers", &error))?;
    let longest = LONGEST_FIRST_WAIT * 2_u32.pow(attempt - 1);
    tokio::time::sleep(longest * u32::from(drawn[0]) / 255).await;
    Ok(())
}
