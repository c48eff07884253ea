// Redraws the charts of the Costs page with Vega: axes, and figures when pointed at.  The page's
// own drawings stay where this cannot run.
(() => {
  const source = document.getElementById("costs-data");
  if (!source || typeof vegaEmbed === "undefined") return;
  const data = JSON.parse(source.textContent);
  const byHour = data.step === "hour";
  const unit = byHour ? "utcyearmonthdatehours" : "utcyearmonthdate";
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--at-${name}`).trim();

  const config = () => ({
    background: null,
    font: "system-ui, sans-serif",
    view: { stroke: null },
    axis: {
      labelColor: colour("soft"), titleColor: colour("soft"), gridColor: colour("line"),
      domainColor: colour("line"), tickColor: colour("line"), labelFontSize: 12, domain: false,
    },
    axisX: { grid: false, labelOverlap: true, labelFlush: false },
    axisY: { tickCount: 4, ticks: false, labelPadding: 6 },
    bar: { cornerRadiusEnd: 1 },
  });
  // All that was asked for, so that quiet hours and days keep their place: the same in every chart.
  const moment = (step, hours) => {
    const at = new Date(Date.parse(step.at) + hours * 3_600_000);
    return { year: at.getUTCFullYear(), month: at.getUTCMonth() + 1, date: at.getUTCDate(), hours: at.getUTCHours(), utc: true };
  };
  const whole = [moment(data.steps[0], 0), moment(data.steps[data.steps.length - 1], byHour ? 1 : 24)];
  const when = {
    field: "at", type: "temporal", timeUnit: unit, title: null,
    scale: { type: "utc", domain: whole, nice: false },
    axis: { format: byHour ? "%H:%M" : "%b %-d", tickCount: 8, labelSeparation: 10 },
  };
  // A chart of zeros still has its zero at the bottom.
  const height = (values, least) => ({ zero: true, ...(values.some((one) => one.value) ? {} : { domain: [0, least] }) });
  const told = { field: "at", type: "temporal", timeUnit: unit, title: byHour ? "hour (UTC)" : "day (UTC)", format: byHour ? "%Y-%m-%d %H:%M" : "%Y-%m-%d" };
  const long = (fields) => data.steps.flatMap((step) => Object.entries(fields)
    .filter(([field]) => step[field] !== null)
    .map(([field, name], order) => ({ at: step.at, name, order, value: step[field] })));
  const scale = (names, colours) => ({ domain: names, range: colours.map(colour) });

  // A piece says what all of its hour or day come to.
  const withWhole = (values) => {
    const sums = {};
    for (const one of values) sums[one.at] = (sums[one.at] ?? 0) + one.value;
    return values.map((one) => ({ ...one, whole: sums[one.at] }));
  };
  const stack = (values, names, colours, axis, title, format) => ({
    data: { values: withWhole(values) },
    mark: { type: "bar", tooltip: true },
    encoding: {
      x: when,
      y: { field: "value", type: "quantitative", title: null, axis, scale: height(values, 0.05) },
      color: { field: "name", type: "nominal", scale: scale(names, colours), legend: null },
      order: { field: "order", type: "quantitative" },
      tooltip: [told, { field: "name", type: "nominal", title: "what" }, { field: "value", type: "quantitative", title, format }, { field: "whole", type: "quantitative", title: "in all", format }],
    },
  });
  const lines = (values, names, colours, axis, title, format) => ({
    data: { values },
    mark: { type: "line", point: { size: 22 }, strokeWidth: 2, tooltip: true },
    encoding: {
      x: { ...when, bandPosition: 0.5 },
      y: { field: "value", type: "quantitative", title: null, axis, scale: height(values, 0.05) },
      color: { field: "name", type: "nominal", scale: scale(names, colours), legend: null },
      tooltip: [told, { field: "name", type: "nominal", title: "what" }, { field: "value", type: "quantitative", title, format }],
    },
  });

  // Whole numbers: 0, 200, 1.5k, 3M.
  const counted = { labelExpr: "datum.value === 0 ? '0' : replace(format(datum.value, '~s'), 'G', 'B')", tickMinStep: 1 };

  const charts = () => {
    const spent = data.spent.map((one) => ({ at: one.at, name: one.model, order: data.models.indexOf(one.model), value: one.cost_usd }));
    const seconds = data.steps.some((step) => step.p95 >= 2000);
    const pace = (rows) => rows.map((row) => ({ ...row, value: seconds ? row.value / 1000 : row.value }));
    return {
      "plot-cost": stack(spent, data.models, data.colours, { format: "$~f" }, "spend", "$,.4f"),
      "plot-tokens": stack(long({ cached: "in, from cache", fresh: "in, fresh", out: "out" }), ["in, from cache", "in, fresh", "out"], ["c4", "c0", "c1"], counted, "tokens", ","),
      "plot-calls": stack(long({ well: "went well", failed: "failed" }), ["went well", "failed"], ["c0", "bad"], counted, "calls", ","),
      "plot-latency": lines(pace(long({ p50: "median", p95: "95th percentile" })), ["median", "95th percentile"], ["c0", "c1"], { labelExpr: `format(datum.value, '~f') + '${seconds ? " s" : " ms"}'` }, seconds ? "seconds" : "ms", ",.1f"),
      "plot-errors": lines(long({ rate: "failed" }), ["failed"], ["bad"], { format: "~%" }, "share", ".1%"),
    };
  };

  const draw = async () => {
    for (const [id, chart] of Object.entries(charts())) {
      const place = document.getElementById(id);
      if (!place) continue;
      const spec = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container", height: 210, autosize: { type: "fit", contains: "padding" }, config: config(), ...chart };
      const canvas = document.createElement("div");
      canvas.className = "at-vega";
      const before = [...place.children];
      place.append(canvas);
      try {
        // ast: no code is made of text, which our content security policy would forbid.
        const { view } = await vegaEmbed(canvas, spec, { ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true } });
        before.forEach((child) => child.remove());
        place.view?.finalize();
        place.view = view;
      } catch (error) {
        canvas.remove();
        console.warn(`${id} keeps its plain drawing`, error);
      }
    }
  };

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
