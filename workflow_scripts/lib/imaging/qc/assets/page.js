"use strict";
// The page: a list that draws only the rows in view, one scan at a time beside it. Text from tables is set as text only.

(() => {
  const { data } = Scans;
  const ROW = 44; // height of a row in pixels, as in style.css
  const SPARE = 8; // rows drawn beyond the view
  const AHEAD = 2; // pictures fetched before they are asked for
  const get = (id) => document.getElementById(id);
  const filter = { search: "", status: "all", site: null, flag: null, sort: "table", descending: false };
  let shown = []; // indices of scans that fit the filters
  let current = -1; // index of the scan in view, -1 for none
  const fetched = new Map(); // pictures that wait in memory

  function make(tag, text, name) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    return element;
  }

  const source = (index) => "pictures/" + encodeURIComponent(data.id[index]) + ".jpg";

  function stateOf(index) {
    if (!data.included[index]) return ["excluded", "✕ set aside"];
    if (data.flags[index].length) return ["flagged", "⚑ flagged"];
    return ["included", "✓ included"];
  }

  // ---- filters ----

  function fill(select, options) {
    select.replaceChildren(...options.map(([value, words]) => {
      const option = make("option", words);
      option.value = value;
      return option;
    }));
  }

  function distinct(lists) {
    const counts = new Map();
    for (const list of lists) for (const value of list) counts.set(value, (counts.get(value) || 0) + 1);
    return [...counts].sort((a, b) => (a[0] < b[0] ? -1 : 1));
  }

  // Names come from tables, so that any of them could be a word of ours: the options' values are places in a list.
  const sites = distinct(data.site.map((site) => [site]));
  const flags = distinct(data.flags);

  function fillFilters() {
    fill(get("status"), Object.entries(Scans.STATUS).map(([value, { words }]) => [value, words]));
    fill(get("site"), [["", "all"], ...sites.map(([name, count], place) => [place, name + " (" + count + ")"])]);
    fill(get("flag"), [["", "any or none"], ...flags.map(([name, count], place) => [place, name + " (" + count + ")"])]);
    fill(get("sort"), [["table", "order of the table"], ["id", "id"], ...data.numbers.map((number) => [number.name, number.words])]);
  }

  function readFilters() {
    const pick = (id, list) => (get(id).value === "" ? null : list[Number(get(id).value)][0]);
    filter.search = get("search").value;
    filter.status = get("status").value;
    filter.site = pick("site", sites);
    filter.flag = pick("flag", flags);
    filter.sort = get("sort").value;
    filter.descending = get("descending").checked;
  }

  function clearFilters() {
    get("filters").reset();
    readFilters();
  }

  function refresh() {
    readFilters();
    shown = Scans.choose(filter);
    get("found").textContent = shown.length + " of " + Scans.count + (Scans.count === 1 ? " scan" : " scans");
    get("rows").style.height = shown.length * ROW + "px";
    show(shown.includes(current) ? current : shown.length ? shown[0] : -1);
  }

  // ---- list ----

  function drawRow(place) {
    const index = shown[place];
    const [name, words] = stateOf(index);
    const row = make("div", undefined, "row");
    row.id = "row-" + index;
    row.style.top = place * ROW + "px";
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(index === current));
    row.setAttribute("aria-posinset", String(place + 1));
    row.setAttribute("aria-setsize", String(shown.length));
    const made = Scans.decision(index);
    row.append(make("b", data.id[index]), make("span", words, name));
    if (made) row.append(make("span", " · ✎ " + (made.decision === "include" ? "keep" : "exclude")));
    row.append(make("span", " · " + (data.flags[index].length ? data.flags[index].join(", ") : data.site[index]), "dim"));
    row.addEventListener("click", () => {
      show(index);
      if (getComputedStyle(get("browse")).display !== "none") get("bar").scrollIntoView(); // one column: the scan is above
    });
    return row;
  }

  function drawList() {
    const list = get("list");
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - SPARE);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + SPARE);
    const rows = [];
    for (let place = first; place < last; place += 1) rows.push(drawRow(place));
    get("rows").replaceChildren(...rows);
    const inView = current >= 0 && get("row-" + current);
    if (inView) list.setAttribute("aria-activedescendant", inView.id);
    else list.removeAttribute("aria-activedescendant");
  }

  function bringIntoView(place) {
    const list = get("list");
    const top = place * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  }

  // ---- one scan ----

  function limits(number) {
    if (number.low !== null && number.high !== null) return number.low + " to " + number.high;
    if (number.low !== null) return "at least " + number.low;
    return number.high !== null ? "at most " + number.high : "";
  }

  function format(value) {
    if (value === null) return "–";
    if (Number.isInteger(value)) return String(value);
    return String(Number(Math.abs(value) >= 100 ? value.toFixed(1) : value.toPrecision(4)));
  }

  const JUDGED = { good: "✓ inside", bad: "✕ outside: excludes", odd: "⚑ outside: flags", "": "" };

  function drawNumbers(index) {
    const rows = [];
    for (const number of data.numbers) {
      const value = data.values[number.name][index];
      const limited = number.low !== null || number.high !== null;
      if (value === null && !(limited && data.flags[index].includes(number.name))) continue;
      const judged = Scans.judge(number, value);
      const row = make("tr", undefined, judged);
      const head = make("th", number.words + (number.unit ? " (" + number.unit + ")" : ""));
      head.scope = "row";
      const words = value === null ? "✕ not measured" : JUDGED[judged];
      row.append(head, make("td", format(value)), make("td", limits(number)), make("td", words));
      rows.push(row);
    }
    get("numbers").tBodies[0].replaceChildren(...rows);
    get("numbers").hidden = rows.length === 0;
  }

  function drawFacts(index) {
    const facts = [
      ["Participant", data.participant[index]], ["Site", data.site[index]], ["Cohort", data.cohort[index]],
      ["Tool", data.tool[index]], ["Flags", data.flags[index].join(", ") || "none"],
    ];
    get("facts").replaceChildren(...facts.filter(([, text]) => text).map(([term, text]) => {
      const pair = make("div");
      pair.append(make("dt", term), make("dd", text));
      return pair;
    }));
  }

  function drawDecision(index) {
    const made = Scans.decision(index);
    const canKeep = Scans.canKeep(index);
    get("include").disabled = !canKeep;
    for (const [id, choice] of [["include", "include"], ["exclude", "exclude"], ["clear", null]]) {
      get(id).setAttribute("aria-pressed", String((made ? made.decision : null) === choice));
    }
    if (document.activeElement !== get("note")) get("note").value = made ? made.note : "";
    let words = "No decision by hand: the checks decide.";
    if (made) words = (made.decision === "include" ? "You keep" : "You exclude") + " this scan. It takes effect with qc: overrides.";
    if (!canKeep) words = "Cannot be kept: stage " + data.stage[index] + " left nothing to use." + (made ? " " + words : "");
    get("decided").textContent = words;
    const total = data.id.reduce((sum, _, place) => sum + (Scans.decision(place) !== null), 0);
    get("download").textContent = "Save decisions (" + total + ")";
    get("download").disabled = total === 0;
  }

  function drawPicture(index) {
    const picture = get("picture");
    const there = data.picture[index];
    picture.hidden = !there;
    if (there) picture.src = source(index);
    else picture.removeAttribute("src");
    picture.alt = there ? "Six slices of " + data.id[index] + " with the outline of the template's brain" : "";
    const line = make("i", "orange line");
    get("caption").replaceChildren(...(there ? [line, ": outline of the template's brain; L, R: the subject's left and right"]
      : ["No picture: there is no registered volume."]));
  }

  function prefetch(place) {
    const keep = new Set();
    for (let step = -AHEAD; step <= AHEAD; step += 1) {
      const index = shown[place + step];
      if (index === undefined || !data.picture[index]) continue;
      keep.add(index);
      if (fetched.has(index)) continue;
      const image = new Image();
      image.src = source(index);
      fetched.set(index, image);
    }
    for (const index of [...fetched.keys()]) if (!keep.has(index)) fetched.delete(index);
  }

  function show(index) {
    if (index !== current) get("note").blur();
    current = index;
    const place = shown.indexOf(index);
    get("scan").hidden = index < 0;
    get("nothing").hidden = index >= 0;
    get("position").textContent = index < 0 ? "0 of 0" : place + 1 + " of " + shown.length;
    get("previous").disabled = place <= 0;
    get("next").disabled = place < 0 || place === shown.length - 1;
    if (index >= 0) {
      const [name, words] = stateOf(index);
      get("name").textContent = data.id[index];
      get("state").className = name;
      get("state").textContent = words + (data.override[index] ? " (decided by hand: " + data.override[index] + ")" : "");
      const note = data.override[index] === "include" && data.included[index] ? "kept by hand: " + data.override_reason[index] : "";
      get("reason").textContent = data.included[index] ? note : data.stage[index] + ": " + data.reason[index];
      drawPicture(index);
      drawDecision(index);
      drawFacts(index);
      drawNumbers(index);
      prefetch(place);
      bringIntoView(place);
      const hash = "#" + encodeURIComponent(data.id[index]);
      if (location.hash !== hash) history.replaceState(null, "", hash);
    }
    drawList();
  }

  function step(by) {
    const place = shown.indexOf(current) + by;
    if (place >= 0 && place < shown.length) show(shown[place]);
  }

  // ---- decisions ----

  function decide(choice) {
    if (current < 0 || (choice === "include" && !Scans.canKeep(current))) return;
    Scans.decide(current, choice, choice ? get("note").value : "");
    if (!choice) get("note").value = "";
    drawDecision(current);
    drawList();
  }

  function writeNote() {
    const made = current >= 0 && Scans.decision(current);
    if (made) Scans.decide(current, made.decision, get("note").value);
  }

  function download() {
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([Scans.overrides()], { type: "text/tab-separated-values;charset=utf-8" }));
    link.download = "overrides.tsv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // ---- keys and start ----

  const KEYS = {
    ArrowRight: () => step(1), j: () => step(1), ArrowLeft: () => step(-1), k: () => step(-1),
    i: () => decide("include"), x: () => decide("exclude"), u: () => decide(null),
    n: () => get("note").focus(), "/": () => get("search").focus(),
  };
  const LIST_KEYS = {
    ArrowDown: () => step(1), ArrowUp: () => step(-1),
    Home: () => shown.length && show(shown[0]), End: () => shown.length && show(shown[shown.length - 1]),
    PageDown: () => step(Math.min(10, shown.length - 1 - shown.indexOf(current))), PageUp: () => step(-Math.min(10, shown.indexOf(current))),
  };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input:not([type=checkbox]), select");
    if (typing) {
      if (event.key === "Escape" || (event.key === "Enter" && event.target.id === "note")) get("list").focus();
      if (event.key === "Enter") event.preventDefault(); // a form would reload the page
      return;
    }
    const inPage = event.target === get("list") || event.target === document.body;
    const act = KEYS[event.key] || (inPage ? LIST_KEYS[event.key] : undefined);
    if (!act) return;
    event.preventDefault();
    act();
  }

  function fromHash() {
    let id = "";
    try {
      id = decodeURIComponent(location.hash.slice(1));
    } catch (error) {
      return; // not a name of ours
    }
    const index = Scans.place.get(id);
    if (index === undefined || index === current) return;
    current = index;
    if (!shown.includes(index)) clearFilters();
    refresh();
  }

  document.title = data.title;
  get("title").textContent = data.title;
  const kept = data.included.filter(Boolean).length;
  get("summary").textContent = kept + " of " + Scans.count + " scans go on, " + (Scans.count - kept) + " are set aside, "
    + data.flags.filter((list, index) => data.included[index] && list.length).length + " of those that go on are flagged";
  fillFilters();
  for (const event of ["input", "change"]) get("filters").addEventListener(event, refresh); // some browsers send one of them
  get("list").addEventListener("scroll", drawList);
  window.addEventListener("resize", drawList);
  window.addEventListener("hashchange", fromHash);
  document.addEventListener("keydown", onKey);
  get("previous").addEventListener("click", () => step(-1));
  get("next").addEventListener("click", () => step(1));
  for (const [id, choice] of [["include", "include"], ["exclude", "exclude"], ["clear", null]]) get(id).addEventListener("click", () => decide(choice));
  get("note").addEventListener("input", writeNote);
  get("browse").addEventListener("click", () => get("choose").scrollIntoView());
  get("download").addEventListener("click", download);
  fromHash();
  refresh();
})();
