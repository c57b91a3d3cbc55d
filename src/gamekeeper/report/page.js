// The rollout browser's filters and the reading of values off the figure. The page is whole without them.
(() => {
  "use strict";
  const PAGE = 25;
  const $ = (id) => document.getElementById(id);
  const episodes = Array.from(document.querySelectorAll(".episode"));
  const form = $("filters");
  let room = PAGE;

  const textOf = new Map();
  const text = (episode) => {
    if (!textOf.has(episode)) textOf.set(episode, episode.textContent.toLowerCase());
    return textOf.get(episode);
  };

  const wanted = () => ({
    run: form.run ? form.run.value : "",
    step: form.step.value,
    phase: form.phase.value,
    exploited: form.exploited.checked,
    q: form.q.value.trim().toLowerCase(),
  });

  const fits = (episode, w) =>
    (w.run === "" || episode.dataset.run === w.run) &&
    (w.step === "" || episode.dataset.step === w.step) &&
    (w.phase === "" || episode.dataset.phase === w.phase) &&
    (!w.exploited || episode.dataset.exploited === "yes") &&
    (w.q === "" || text(episode).includes(w.q));

  const show = () => {
    const w = wanted();
    let matching = 0;
    for (const episode of episodes) {
      const fit = fits(episode, w);
      matching += fit ? 1 : 0;
      episode.hidden = !fit || matching > room;
    }
    $("matching").textContent = matching === episodes.length
      ? `${matching} shown here`
      : `${matching} of these ${episodes.length} match`;
    $("none").hidden = matching > 0;
    $("more").hidden = matching <= room;
    $("more").textContent = `Show ${Math.min(PAGE, matching - room)} more`;
  };

  // The filters live in the address, so that a view can be linked to: #exploited&step=6&q=score
  const fromAddress = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    const has = ["exploited", "step", "phase", "run", "q"].some((key) => given.has(key));
    if (!has) return false;
    form.exploited.checked = given.has("exploited");
    form.q.value = given.get("q") || "";
    for (const key of ["step", "phase", "run"]) {
      if (form[key]) form[key].value = given.get(key) || "";
      if (form[key] && form[key].selectedIndex < 0) form[key].value = "";
    }
    return true;
  };
  const toAddress = () => {
    const w = wanted();
    const parts = w.exploited ? ["exploited"] : [];
    for (const key of ["step", "phase", "run", "q"]) {
      if (w[key]) parts.push(`${key}=${encodeURIComponent(w[key])}`);
    }
    history.replaceState(null, "", parts.length ? `#${parts.join("&")}` : "#rollouts");
  };
  const changed = () => {
    room = PAGE;
    show();
    toAddress();
  };

  if (form) {
    form.hidden = false;
    form.addEventListener("input", changed);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(changed));
    $("more").addEventListener("click", () => {
      room += PAGE;
      show();
    });
    window.addEventListener("hashchange", () => {
      if (fromAddress()) {
        room = PAGE;
        show();
        $("rollouts").scrollIntoView();
      }
    });
    if (fromAddress()) setTimeout(() => $("rollouts").scrollIntoView());
    show();
  }

  // Reading values off the figure; a click goes to the rollouts of that step.
  const data = JSON.parse($("series").textContent);
  const number = (v) => v.toFixed(2).replace(/^(-?)0\./, "$1.").replace("-", "\u2212");
  const reading = $("reading");
  if (data.some((run) => run.steps.length)) {
    reading.textContent = "Point at a step to read it off; click it to read its rollouts.";
  }
  const nearest = (steps, step) =>
    steps.reduce((best, s) => (Math.abs(s - step) < Math.abs(best - step) ? s : best), steps[0]);

  const say = (run, step) => {
    const index = run.steps.indexOf(step);
    reading.textContent = "";
    const head = document.createElement("b");
    head.textContent = (data.length > 1 ? `${run.name}, ` : "") + `step ${step}: `;
    reading.append(head);
    run.curves.filter((c) => c.values[index] !== null).forEach((curve, i) => {
      const part = document.createElement("span");
      part.className = curve.role;
      part.textContent = `${i ? " \u00b7 " : ""}${curve.label} ${number(curve.values[index])}`;
      reading.append(part);
    });
  };

  for (const surface of document.querySelectorAll(".surface")) {
    const run = data.find((r) => r.name === surface.dataset.run);
    if (!run || !run.steps.length) continue;
    const cursor = surface.previousElementSibling;
    const left = Number(surface.getAttribute("x"));
    const width = Number(surface.getAttribute("width"));
    const most = Number(surface.dataset.steps);
    let current = null;
    const go = (step) => {
      current = step;
      const x = left + (step / most) * width;
      cursor.style.visibility = "visible";
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      say(run, step);
    };
    const open = () => {
      if (!form || current === null) return;
      form.reset();
      form.step.value = String(nearest(Array.from(form.step.options, (o) => Number(o.value)).filter(Boolean), current));
      if (form.run) form.run.value = String(data.indexOf(run));
      changed();
      $("rollouts").scrollIntoView();
    };
    surface.setAttribute("tabindex", "0");
    surface.setAttribute("role", "slider");
    surface.setAttribute("aria-label", `Read off values, ${run.name}; arrow keys move, Enter opens that step's rollouts`);
    surface.addEventListener("pointermove", (event) => {
      const box = surface.getBoundingClientRect();
      go(nearest(run.steps, ((event.clientX - box.left) / box.width) * most));
    });
    surface.addEventListener("click", open);
    surface.addEventListener("keydown", (event) => {
      const at = Math.max(0, run.steps.indexOf(current));
      const moves = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: run.steps.length - 1 };
      if (event.key in moves) {
        event.preventDefault();
        go(run.steps[Math.min(run.steps.length - 1, Math.max(0, current === null ? 0 : moves[event.key]))]);
        surface.setAttribute("aria-valuenow", current);
        surface.setAttribute("aria-valuetext", reading.textContent);
      } else if (event.key === "Enter") {
        open();
      }
    });
  }
})();
