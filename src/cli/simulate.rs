//! `simulate`: stands in for the services that take messages and for the national portal, until stopped.

use std::net::SocketAddr;

use super::{Ended, explained, print};
use crate::fault::{Fault, Place};
use crate::simulate::{self, DossierMood, Simulator};

/// Listens until the process is told to stop, and prints how a pipeline finds it.
pub(super) async fn simulate(listen: SocketAddr, daily_quota: u32) -> Result<Ended, Vec<Fault>> {
    let simulator = Simulator::start(listen, daily_quota).await.map_err(explained)?;
    // Whoever tries it out sees a dossier come to its end.
    simulator.set_dossier_mood(DossierMood { advances: true, ..DossierMood::default() });
    let url = simulator.url();
    print(&format!("listening on {url}\n\n{}", example(&url)))?;
    tokio::signal::ctrl_c().await.map_err(|error| {
        let what = format!("the signal to stop cannot be awaited: {error}");
        vec![Fault::new("cli.no-signal", Place::Thing("the operating system".into()), what, "start it again")]
    })?;
    simulator.stop().await;
    Ok(Ended::Done)
}

fn example(url: &str) -> String {
    let (app, secret, refresh) = (simulate::APP_ID, simulate::SECRET, simulate::REFRESH_TOKEN);
    let client = simulate::CLIENT_ID;
    format!(
        "\
# Every secret is {secret:?}; the first refresh token is {refresh:?}. Put each into a file of mode 600.
[[channels]]
kind = \"zns\"
url = \"{url}/zns\"
oauth_url = \"{url}/oauth\"
app_id = \"{app}\"
app_secret = {{ file = \"/…/secret\" }}
refresh_token = {{ file = \"/…/refresh-token\" }}
[[channels]]
kind = \"sms\"
url = \"{url}/sms\"
token = {{ file = \"/…/secret\" }}
sender = \"AN BINH\"
[[channels]]
kind = \"webhook\"
url = \"{url}/webhook\"
secret = {{ file = \"/…/secret\" }}
[push]
url = \"{url}/rating/v1\"
token_url = \"{url}/rating/token\"
client_id = \"{client}\"
client_secret = {{ file = \"/…/secret\" }}
department = \"H97\"
[submission]
url = \"{url}/portal/v1\"
token_url = \"{url}/portal/token\"
client_id = \"{client}\"
client_secret = {{ file = \"/…/secret\" }}
department = \"H97\"

# What was taken: {url}/messages, {url}/rating/v1/snapshots and {url}/portal/v1/ho-so
"
    )
}
