// Timestamps as the API writes them: ISO 8601 on a table's own clock, or epoch numbers.

const DAY = 86400;
const ISO = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:\d\d(?::\d\d)?)?$/;
// as contract/timestamps.py tells units apart: 1e11 s would be the year 5138
const UNITS = [
  [1e11, 1],
  [1e14, 1e3],
  [1e17, 1e6],
  [Infinity, 1e9],
];

/** Seconds since 1970 on the table's own clock: offsets are left out, so that midnight is where the table has it. */
export function seconds(stamp) {
  if (typeof stamp === "number") {
    const [, perSecond] = UNITS.find(([limit]) => Math.abs(stamp) < limit);
    return stamp / perSecond;
  }
  const [, day, time] = ISO.exec(stamp);
  return Date.parse(`${day}T${time}Z`) / 1000;
}

/** For people: 2026-01-09 01:00, with seconds where there are any, and the offset. */
export function written(stamp) {
  const iso = typeof stamp === "number" ? isoOf(seconds(stamp)) : stamp;
  const [, day, time, zone = ""] = ISO.exec(iso);
  return `${day} ${time.replace(/^(\d\d:\d\d):00$/, "$1")}${zone}`;
}

const isoOf = (time) => new Date(time * 1000).toISOString().replace(/(\.000)?Z$/, "");

const DISTANCES = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, DAY, 2 * DAY, 7 * DAY, 14 * DAY];

/** Labels for positions that stand for a stretch of time each: at whole hours, days or weeks, at most `most` of them. */
export function timeTicks(froms, tos, most = 7) {
  const fitting = (distance) =>
    froms.flatMap((from, at) => {
      const time = Math.ceil(from / distance) * distance;
      return time <= tos[at] ? [{ at, time }] : [];
    });
  const every = Math.ceil(froms.length / most);
  const rough = froms.flatMap((time, at) => (at % every ? [] : [{ at, time }]));
  const distance = DISTANCES.find((each) => fitting(each).length <= most);
  const whole = distance ? fitting(distance) : [];
  const ticks = whole.length > 1 ? whole : rough;
  const labels = tickLabels(ticks.map(({ time }) => time), ticks.length > 1 ? ticks[1].time - ticks[0].time : DAY);
  return ticks.map(({ at }, index) => ({ at, label: labels[index] }));
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Ticks of a time axis, `distance` seconds apart; below each the date, or the year, where that changes. */
export function tickLabels(times, distance) {
  let before = "";
  return times.map((time) => {
    if (!Number.isInteger(time)) return ""; // closer than seconds, which a clock of seconds cannot tell
    const iso = isoOf(time);
    const [year, month, day] = iso.slice(0, 10).split("-");
    const date = `${Number(day)} ${MONTHS[month - 1]}`;
    const clock = iso.slice(11, distance < 60 ? 19 : 16);
    const [label, below] = distance < DAY ? [clock, date] : [distance < 28 * DAY ? date : MONTHS[month - 1], year];
    const first = below !== before;
    before = below;
    return first ? `${label}\n${below}` : label;
  });
}

const FIXED = { s: 1, min: 60, h: 3600 };

/**
 * Rows until the calendar comes round, and in words, as contract/frequency.py has it: a day of hours, a week of days, a
 * year of weeks or months; or null.
 * @param {string} frequency such as 15min, h, D, B, W, M
 */
export function season(frequency) {
  const [, count, unit] = /^(\d*)(s|min|h|D|B|W|M)$/.exec(frequency);
  const steps = Number(count || 1);
  const [rows, name] = unit in FIXED ? [DAY / (FIXED[unit] * steps), "day"] : calendar(unit, steps);
  return Number.isInteger(rows) ? { rows, name } : null;
}

function calendar(unit, steps) {
  const [rows, name] = { D: [7, "week"], B: [5, "week"], W: [52, "year"], M: [12, "year"] }[unit];
  return [rows / steps, name];
}
