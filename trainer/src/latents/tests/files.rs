//! Files of latents: what is in them, and everything that can be wrong with one.

use std::fs;

use safetensors::{Dtype, SafeTensors};

use super::*;
use crate::latents::header::BYTES;

#[test]
fn what_was_encoded_is_what_is_read() {
    let mut bench = Bench::new();
    let texts = some_texts();
    let file = bench.file("file", texts.clone(), 1);
    assert_eq!(file.header(), &header(&bench.config));
    for (place, text) in texts.iter().enumerate() {
        let encoded = bench.encoder.encode(&mut bench.device, &[text], &GO).unwrap();
        assert_eq!(file.posterior(place as u64).unwrap(), encoded[0].posterior);
        let expected = Entry {
            text: place as u64,
            source: text.source.clone(),
            piece: 0,
            tokens: text.tokens() as u64,
            bytes: text.source.len() as u64,
            nll: encoded[0].nll,
            kl: encoded[0].kl,
        };
        assert_eq!(file.entries()[place], expected);
    }
    let error = file.posterior(5).unwrap_err().to_string();
    assert!(error.contains("5 texts; expected an index of 0 to 4, not 5"), "{error}");
}

/// Others read it with the crate of the format, or its Python.
#[test]
fn it_is_a_safetensors_file() {
    let mut bench = Bench::new();
    let file = bench.file("file", some_texts(), 1);
    let bytes = fs::read(bench.path("file")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().clone().unwrap();
    assert_eq!((metadata["iteration"].as_str(), metadata["fast_steps"].as_str()), ("7", "4"));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let logvar = tensors.tensor("logvar").unwrap();
    assert_eq!((logvar.dtype(), logvar.shape()), (Dtype::F32, &[5, 4, 16][..]));
    let row = 4 * 4 * 16;
    let third = file.posterior(3).unwrap().logvar;
    assert_eq!(&logvar.data()[3 * row..4 * row], bytemuck::cast_slice::<f32, u8>(&third));
    let index = tensors.tensor("index").unwrap();
    let lines = std::str::from_utf8(index.data()).unwrap();
    let sources: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["source"].clone())
        .collect();
    assert_eq!((sources.len(), sources[2].as_str()), (5, Some("birds")));
}

fn place_of(words: &str, bytes: &[u8]) -> usize {
    bytes.windows(words.len()).position(|window| window == words.as_bytes()).unwrap()
}

#[test]
fn damaged_files_are_refused() {
    let mut bench = Bench::new();
    bench.file("file", some_texts(), 1);
    let path = bench.path("file");
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8], words: &str| {
        fs::write(&path, bytes).unwrap();
        let error = LatentsFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("file") && error.contains(words), "{words}: {error}");
    };
    for length in [BYTES as usize - 1, BYTES as usize, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..length], "cut short");
    }
    refused(&[&whole[..], b"x"].concat(), "cut short or overwritten");
    for length in [0, 7, 8] {
        refused(&whole[..length], if length == 8 { "cut short" } else { "no file of latents" });
    }
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    refused(&with(0, &[1]), "its header has another size");
    refused(&with(8, b"["), "its header");
    let find = |words: &str| place_of(words, &whole);
    refused(&with(find("latents 1"), b"latents 2"), "\"ltm latents 2\"");
    // The tensors are named in alphabetical order: logvar, then mu.
    let (logvar, mu) =
        (find("[5,4,16]"), find("\"mu\"") + place_of("[5,4,16]", &whole[find("\"mu\"")..]));
    refused(&with(logvar, b"[5,4,15]"), "one set of texts");
    refused(&with(mu, b"[5,4,15]"), "one set of texts");
    refused(&with(mu, b"[0,4,16]"), "claims 0 texts");
    refused(&with(find("\"F32\""), b"\"I32\""), "one set of texts");
    refused(&with(find("\"text\":3"), b"\"text\":4"), "line 4 of its index: is about text 4");
    refused(&with(find("\"text\":2"), b"\"tixt\":2"), "line 3 of its index");

    fs::write(&path, with(BYTES as usize + 8, &f32::NAN.to_le_bytes())).unwrap();
    let damaged = LatentsFile::open(&path).unwrap();
    let error = damaged.posterior(0).unwrap_err().to_string();
    assert!(error.contains("text 0: element 2 of mu is NaN"), "{error}");
    damaged.posterior(1).unwrap();

    fs::remove_file(&path).unwrap();
    let error = LatentsFile::open(&path).unwrap_err().to_string();
    assert!(error.contains("cannot open") && error.contains("No such file"), "{error}");
}

#[test]
fn latents_of_another_model_are_refused() {
    let mut bench = Bench::new();
    let parameters = bench.encoder.weights().frozen();
    let mut model = bench.config.model.clone();
    let (first, last) = (0, parameters.values.len() - 1);
    let print = |device: &mut Cpu, model: &crate::config::ModelConfig| {
        fingerprint(device, model, &parameters).unwrap()
    };
    let own = print(&mut bench.device, &model);
    assert_eq!((own.len(), &own), (64, &print(&mut bench.device, &model)));
    for place in [first, last] {
        let one = parameters.values.slice(place..place + 1).unwrap();
        let value: Vec<f32> = bench.device.read(&one).unwrap();
        bench.device.upload(&one, &[value[0] + 1.0]).unwrap();
        assert_ne!(own, print(&mut bench.device, &model));
        bench.device.upload(&one, &value).unwrap();
    }
    model.window += 1;
    let other = print(&mut bench.device, &model);
    assert_ne!(own, other);

    let made = Header { model: own.clone(), ..header(&bench.config) };
    let mut writer = Writer::create(&bench.path("file"), made).unwrap();
    let text = text("rain");
    let encoded = bench.encoder.encode(&mut bench.device, &[&text], &GO).unwrap();
    writer.append(&text, &encoded[0]).unwrap();
    writer.finish(true).unwrap();
    let file = LatentsFile::open(&bench.path("file")).unwrap();
    file.expect_model(&model, &own, false).unwrap();
    file.expect_model(&model, &other, true).unwrap();
    let error = file.expect_model(&model, &other, false).unwrap_err().to_string();
    for words in ["latents of another model", &own[..12], &other[..12], "--force"] {
        assert!(error.contains(words), "{error}");
    }
    model.dim = 32;
    let error = file.expect_model(&model, &own, true).unwrap_err().to_string();
    assert!(error.contains("[4, 16]") && error.contains("takes [4, 32]"), "{error}");
}

#[test]
fn nothing_is_overwritten_but_latents() {
    let mut bench = Bench::new();
    let start =
        |bench: &Bench, name: &str| Writer::create(&bench.path(name), header(&bench.config));
    fs::write(bench.path("model.safetensors"), "weights").unwrap();
    fs::create_dir(bench.path("folder")).unwrap();
    for name in ["model.safetensors", "folder"] {
        let error = start(&bench, name).err().unwrap().to_string();
        assert!(error.contains(name) && error.contains("no file of latents"), "{error}");
    }
    let error = start(&bench, "nowhere/file").err().unwrap().to_string();
    assert!(error.contains("cannot create") && error.contains("nowhere"), "{error}");
    bench.file("file", some_texts(), 1);
    let before = fs::read(bench.path("file")).unwrap();
    drop(start(&bench, "file").unwrap());
    let empty = start(&bench, "file").unwrap().finish(true).unwrap_err().to_string();
    assert!(empty.contains("no text"), "{empty}");
    assert!(before == fs::read(bench.path("file")).unwrap());
    assert_eq!(fs::read_dir(bench.dir.path()).unwrap().count(), 3);
    bench.file("file", vec![text("rain")], 1);
    assert_eq!(LatentsFile::open(&bench.path("file")).unwrap().entries().len(), 1);
}
