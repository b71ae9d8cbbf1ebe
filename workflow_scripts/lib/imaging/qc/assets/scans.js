"use strict";
// What is known of the scans, which of them are shown, and what a person decided. Nothing here touches the page.

const Scans = (() => {
  const data = window.QC_DATA;
  const count = data.id.length;
  const MISSING = ["", "n/a", "na", "nan"]; // words that a table reads as an empty cell
  // stages after which a scan has nothing that could be kept
  const LOST = ["cohort", "preprocess", "register", "features"];
  const store = "brainrep-qc-" + data.key;

  const place = new Map(data.id.map((id, index) => [id, index]));
  const lower = data.id.map((id) => id.toLowerCase());

  // Decisions by hand: those of the table, changed by those made here; null takes an earlier one back.
  let changed = {};
  try {
    changed = JSON.parse(localStorage.getItem(store) || "{}");
  } catch (error) {
    changed = {}; // a browser that keeps nothing for local files
  }

  function decision(index) {
    const id = data.id[index];
    if (Object.hasOwn(changed, id)) return changed[id];
    return data.override[index] ? { decision: data.override[index], note: data.override_reason[index] || "" } : null;
  }

  function decide(index, choice, note) {
    changed[data.id[index]] = choice ? { decision: choice, note: note } : null;
    try {
      localStorage.setItem(store, JSON.stringify(changed));
    } catch (error) {
      // decisions still last until the page is closed
    }
  }

  const canKeep = (index) => !LOST.includes(data.stage[index]);
  const isDecidedHere = (index) => Object.hasOwn(changed, data.id[index]);

  const STATUS = {
    all: { words: "all", test: () => true },
    included: { words: "included", test: (index) => data.included[index] },
    excluded: { words: "set aside", test: (index) => !data.included[index] },
    flagged: { words: "flagged", test: (index) => data.flags[index].length > 0 },
    overridden: { words: "decided by hand", test: (index) => data.override[index] !== null },
    marked: { words: "decided on this page", test: isDecidedHere },
  };

  // Indices of the scans that fit, in order; scans that lack the number come last either way.
  function choose(filter) {
    const wanted = filter.search.trim().toLowerCase();
    const test = STATUS[filter.status].test;
    const found = [];
    for (let index = 0; index < count; index += 1) {
      if (wanted && !lower[index].includes(wanted)) continue;
      if (filter.site !== null && data.site[index] !== filter.site) continue;
      if (filter.flag !== null && !data.flags[index].includes(filter.flag)) continue;
      if (test(index)) found.push(index);
    }
    const sign = filter.descending ? -1 : 1;
    if (filter.sort === "table") return filter.descending ? found.reverse() : found;
    if (filter.sort === "id") return found.sort((a, b) => sign * (lower[a] < lower[b] ? -1 : lower[a] > lower[b] ? 1 : 0));
    const values = data.values[filter.sort];
    return found.sort((a, b) => {
      if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null) || a - b;
      return sign * (values[a] - values[b]) || a - b;
    });
  }

  // "bad": outside limits that exclude; "odd": outside limits that flag; "good"; "" without limits or value.
  function judge(number, value) {
    if (value === null) return "";
    if (number.low === null && number.high === null) return "";
    const outside = (number.low !== null && value < number.low) || (number.high !== null && value > number.high);
    if (!outside) return "good";
    return number.does === "exclude" ? "bad" : "odd";
  }

  const cell = (text) => (/["\r\n\t]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text);

  // The table of config qc: overrides, with all decisions by hand, earlier and new.
  function overrides() {
    const lines = ["scan_id\tdecision\treason"];
    for (let index = 0; index < count; index += 1) {
      const made = decision(index);
      if (!made) continue;
      let note = made.note.replace(/\s+/g, " ").trim();
      if (note === "") note = "seen on the page";
      else if (MISSING.includes(note.toLowerCase())) note = "note: " + note;
      lines.push([data.id[index], made.decision, note].map(cell).join("\t"));
    }
    return lines.join("\n") + "\n";
  }

  return { data, count, place, STATUS, decision, decide, canKeep, choose, judge, overrides };
})();
