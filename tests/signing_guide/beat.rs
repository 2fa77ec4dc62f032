use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sends a heartbeat. The answer, head and all.
pub fn beat(address: &str, secret: &str, body: &str) -> Result<String, Box<dyn Error>> {
    let key = STANDARD.decode(secret.trim_start_matches("whsec_"))?;
    let id = format!("msg_{:016x}", getrandom::u64()?);
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut code = Hmac::<Sha256>::new_from_slice(&key)?;
    code.update(format!("{id}.{timestamp}.{body}").as_bytes());
    let signature = STANDARD.encode(code.finalize().into_bytes());
    let request = format!(
        "POST /data_flows/heartbeat HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: v1,{signature}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
