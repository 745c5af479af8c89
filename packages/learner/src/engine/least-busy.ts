/** The lane with the least to do, which gets `work` more. */
export function leastBusy<T extends { work: number }>(lanes: readonly T[], work: number): T {
  const lane = lanes.reduce((least, lane) => (lane.work < least.work ? lane : least));
  lane.work += work;
  return lane;
}
