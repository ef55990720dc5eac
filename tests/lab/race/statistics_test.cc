// The statistics of races against values of scipy 1.17, and their error rates over simulated races of equal
// entrants.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "lab/race/curve_statistics.h"
#include "lab/race/paired.h"
#include "lab/race/race.h"
#include "lab/race/sweep.h"
#include "tests/lab/support.h"

namespace seednorm::lab {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(StudentT, AgreesWithScipy) {
  struct Case {
    double t, df, p;  // 2 * scipy.stats.t.sf(t, df)
  };
  for (const Case& c :
       {Case{0.5, 1, 0.7048327646991335}, Case{2, 1, 0.2951672353008665}, Case{1, 2, 0.4226497308103742},
        Case{2.5, 3.7, 0.07182202291182678}, Case{10, 4, 0.000562003622715991},
        Case{1e-3, 9, 0.9992239303259733}, Case{2, 30, 0.054625044962983094},
        Case{3, 200.5, 0.0030421641679008885}, Case{50, 3, 1.761715204127197e-05}}) {
    EXPECT_NEAR(student_t_p(c.t, c.df), c.p, 1e-12 + 1e-10 * c.p) << c.t << " " << c.df;
    EXPECT_EQ(student_t_p(-c.t, c.df), student_t_p(c.t, c.df));
  }
  const std::vector<std::pair<double, double>> quantiles = {
      {1, 12.706204736174694},   {2, 4.302652729749462},   {4, 2.7764451051977934},
      {9, 2.262157162798205},    {20, 2.085963447265864},  {21, 2.0796138447276795},
      {120, 1.9799304050824402}, {3.7, 2.8675207071911895}};
  for (const auto& [df, t] : quantiles) EXPECT_NEAR(student_t_of_p(0.05, df), t, 1e-9 * t) << df;
  EXPECT_EQ(student_t_p(0, 5), 1);
  EXPECT_EQ(student_t_p(std::numeric_limits<double>::infinity(), 5), 0);
  EXPECT_TRUE(std::isnan(student_t_p(kNaN, 5)));
}

TEST(Paired, AgreesWithScipy) {
  const MeanEstimate d = paired_difference({1, 2, 3.5, 2.2}, {1.1, 2.3, 4.1, 2.0});  // scipy.stats.ttest_rel
  EXPECT_EQ(d.n, 4);
  EXPECT_NEAR(d.mean, 0.2, 1e-12);
  EXPECT_NEAR(d.p, 0.3202553698063426, 1e-10);
  EXPECT_NEAR(d.low, -0.33568553627141584, 1e-9);
  EXPECT_NEAR(d.high, 0.7356855362714155, 1e-9);
  // scipy.stats.ttest_ind(b, a, equal_var=False)
  const MeanEstimate w = independent_difference({1, 2, 3.5}, {1.1, 2.3, 4.1, 2.0, 5.0});
  EXPECT_NEAR(w.p, 0.5027869429337922, 1e-10);
  EXPECT_NEAR(w.low, -1.8475416571059808, 1e-9);
  EXPECT_NEAR(w.high, 3.3142083237726476, 1e-9);
  // t_{0.975, 3} sqrt(mean of squares / 3)
  EXPECT_NEAR(noise_floor({0.1, -0.2, 0.05}), 0.24306335148491892, 1e-9);
}

TEST(Paired, WithoutSpreadOrSeeds) {
  EXPECT_TRUE(std::isnan(paired_difference({1}, {2}).low));
  EXPECT_TRUE(std::isnan(paired_difference({1}, {2}).p));
  EXPECT_TRUE(std::isnan(paired_difference({}, {}).mean));
  EXPECT_TRUE(std::isnan(independent_difference({1}, {2, 3}).p));
  EXPECT_TRUE(std::isnan(noise_floor({})));
  const MeanEstimate equal = paired_difference({1, 2}, {1, 2});
  EXPECT_EQ(equal.p, 1);
  EXPECT_EQ(equal.high, 0);
  EXPECT_EQ(paired_difference({1, 2}, {2, 3}).p, 0);  // both exactly 1 apart
}

TEST(Holm, StepsDown) {
  // Four tests in the order 0.005, 0.01, 0.03, 0.04: 4 * 0.005, 3 * 0.01, 2 * 0.03, then no less than that.
  const std::vector<double> p = holm({0.01, 0.04, kNaN, 0.03, 0.005});
  EXPECT_NEAR(p[0], 0.03, 1e-15);
  EXPECT_NEAR(p[1], 0.06, 1e-15);
  EXPECT_TRUE(std::isnan(p[2]));
  EXPECT_NEAR(p[3], 0.06, 1e-15);
  EXPECT_NEAR(p[4], 0.02, 1e-15);
  EXPECT_EQ(holm({0.9, 0.8}), (std::vector<double>{1, 1}));
}

TEST(Curves, FirstReached) {
  const Curve curve = {{10, 4}, {20, 3}, {30, 3.5}, {40, 2}};
  EXPECT_EQ(first_reached(curve, 4, true), 10);
  EXPECT_EQ(first_reached(curve, 3.25, true), 17.5);
  EXPECT_NEAR(first_reached(curve, 2.5, true), 30 + 10 * 2 / 3.0, 1e-12);
  EXPECT_TRUE(std::isnan(first_reached(curve, 1, true)));
  EXPECT_EQ(first_reached({{1, 50}, {2, 70}}, 60, false), 1.5);
}

TEST(Curves, RatioOfWhatBothNeed) {
  const Curve slow = {{10, 4}, {20, 3}, {40, 2}}, fast = {{10, 3}, {20, 2}, {40, 1}};
  EXPECT_EQ(reach_ratio(slow, fast, true), 0.5);
  EXPECT_EQ(reach_ratio(fast, slow, true), 2);
  EXPECT_EQ(reach_ratio(slow, slow, true), 1);
  EXPECT_TRUE(std::isnan(reach_ratio({{10, 4}}, fast, true)));
  const MeanEstimate m = mean_ratio({0.5, 2});
  EXPECT_NEAR(m.mean, 1, 1e-12);
  EXPECT_NEAR(m.low * m.high, 1, 1e-9);
  EXPECT_NEAR(mean_ratio({0.5, 0.5}).high, 0.5, 1e-12);
}

TEST(Curves, TrendPerDoubling) {
  // numpy.polyfit(log2([25, 50, 75, 100]), [-.1, -.12, -.16, -.15], 1); what lies before 25 does not count.
  const Curve a = {{10, 0}, {25, 0}, {50, 0}, {75, 0}, {100, 0}};
  const Curve b = {{10, 9}, {25, -.1}, {50, -.12}, {60, 7}, {75, -.16}, {100, -.15}};
  EXPECT_NEAR(trend(a, b), -0.02928539, 1e-8);
  EXPECT_NEAR(trend(b, a), 0.02928539, 1e-8);
  EXPECT_TRUE(std::isnan(trend({{50, 1}, {100, 1}}, {{50, 1}, {100, 1}})));
}

Curves run_of(double (*loss)(double)) {
  Curves out;
  for (int step = 1; step <= 200; ++step) {
    TrainPoint p;
    p.step = step;
    p.loss = loss(step / 200.0);
    out.train.push_back(p);
  }
  return out;
}

TEST(Convergence, OfTrainedWeights) {
  const auto trained = [](double (*loss)(double)) {
    Curves out = run_of(loss);
    out.measured.push_back({.step = 0, .units = 0, .seconds = 0, .values = {}});
    return out;
  };
  EXPECT_EQ(convergence_of(run_of([](double) { return 2.0; })), Convergence::kStagnated);
  EXPECT_EQ(convergence_of(trained([](double) { return 2.0; })), Convergence::kConverged);
  EXPECT_EQ(convergence_of(trained([](double x) { return x < 0.5 ? 1.9 : 1.95; }), 1.0),
            Convergence::kConverged);
  EXPECT_EQ(convergence_of(trained([](double x) { return x < 0.5 ? 2.0 : 2.2; })), Convergence::kBlewUp);
  EXPECT_TRUE(std::isnan(reach_ratio({{0, 2.0}, {1, 2.1}}, {{0, 2.0}, {1, 1.9}}, /*lower_is_better=*/true)));
}

TEST(Convergence, IsNamed) {
  const Curves good = run_of([](double x) { return 2 + 3 * std::exp(-8 * x); });
  EXPECT_EQ(convergence_of(good), Convergence::kConverged);
  // Back at 4.5 after it had been near 2.
  EXPECT_EQ(convergence_of(run_of([](double x) { return x < 0.7 ? 2 + 3 * std::exp(-8 * x) : 4.5; })),
            Convergence::kBlewUp);
  const auto flat = [](double x) { return 5 - 0.1 * x; };
  EXPECT_EQ(convergence_of(run_of(flat)), Convergence::kStagnated);
  // Falls by 1 of 5, which is much by itself, and little beside a run that falls by 3.
  const Curves slow = run_of([](double x) { return 5 - x; });
  EXPECT_EQ(convergence_of(slow), Convergence::kConverged);
  EXPECT_EQ(convergence_of(slow, gain_of(good)), Convergence::kStagnated);
  Curves lost = good;
  lost.diverged_at = 150;
  EXPECT_EQ(convergence_of(lost), Convergence::kDiverged);
  // A step that destroys what was learned, from which the run starts again.
  const auto again = [](double x) { return 2 + 3 * std::exp(-8 * (x < 0.3 ? x : x - 0.3)); };
  EXPECT_EQ(convergence_of(run_of(again)), Convergence::kRecovered);
  EXPECT_FALSE(failed_to_converge(name_of(Convergence::kRecovered)));
  EXPECT_TRUE(failed_to_converge(name_of(Convergence::kBlewUp)));
  // A short spike is none.
  EXPECT_EQ(
      convergence_of(run_of([](double x) { return x > 0.5 && x < 0.52 ? 9.0 : 2 + 3 * std::exp(-8 * x); })),
      Convergence::kConverged);
}

// A race in which entrant e has `loss` with each seed, at the learning rate that its settings say.
RaceResult race_of(const std::vector<Entrant>& entrants, int seeds,
                   const std::function<double(const Entrant&, int seed)>& loss) {
  RaceResult out;
  out.info = {"language", "token", {{"val_loss", "Validation loss", "nats", true}}};
  out.entrants = entrants;
  for (int seed = 0; seed < seeds; ++seed) {
    for (const Entrant& e : entrants) {
      RacedRun run;
      run.summary.entrant = e.label;
      run.summary.seed = seed;
      run.summary.values = {{"val_loss", loss(e, seed)}};
      out.runs.push_back(run);
    }
  }
  return out;
}

TEST(Sweep, EachEntrantAtItsBestRate) {
  const auto entrants =
      at_learning_rates({{"a", {"norm=rms_norm"}}, {"b", {"norm=seed_norm"}}}, "1e-3,2e-3,4e-3");
  ASSERT_EQ(entrants.size(), 6U);
  EXPECT_EQ(entrants[1].label, "a@2e-3");
  EXPECT_EQ(entrants[1].settings, (std::vector<std::string>{"norm=rms_norm", "lr=2e-3"}));
  // a: a parabola in log lr with its minimum 1.5 + seed / 100 at 0.0025; b falls up to the last rate.
  const RaceSummary s = summarize("", race_of(entrants, 3, [](const Entrant& e, int seed) {
                                    const double lr = std::stod(e.settings[1].substr(3));
                                    if (e.label[0] == 'a')
                                      return 1.5 + 0.4 * std::pow(std::log(lr / 0.0025), 2) + seed / 100.0;
                                    return 2 - 100 * lr + seed / 100.0;
                                  }));
  ASSERT_EQ(s.sweeps.size(), 2U);
  EXPECT_NEAR(s.sweeps[0].best_lr, 0.0025, 1e-9);
  EXPECT_NEAR(s.sweeps[0].best, 1.51, 1e-9);
  EXPECT_FALSE(s.sweeps[0].at_edge);
  EXPECT_EQ(s.sweeps[1].best_lr, 4e-3);
  EXPECT_TRUE(s.sweeps[1].at_edge);
  ASSERT_EQ(s.tuned.size(), 1U);
  EXPECT_NEAR(s.tuned[0].mean_diff, 0.1, 1e-9);
  EXPECT_EQ(s.tuned[0].n, 3);
  // Pairs compare equal learning rates only.
  ASSERT_EQ(s.pairs.size(), 3U);
  EXPECT_EQ(s.pairs[0].a, "a@1e-3");
  EXPECT_EQ(s.pairs[0].b, "b@1e-3");
}

TEST(Sweep, AFailedRunRulesItsRateOut) {
  const auto entrants = at_learning_rates({{"a", {"norm=rms_norm"}}}, "1e-3,2e-3,4e-3");
  RaceResult race = race_of(
      entrants, 2, [](const Entrant& e, int) { return 3 - 100 * std::stod(e.settings[1].substr(3)); });
  race.runs.back().summary.diverged = true;  // seed 1 at 4e-3
  const RaceSummary s = summarize("", race);
  EXPECT_EQ(s.sweeps[0].best_lr, 2e-3);
  EXPECT_TRUE(s.sweeps[0].at_edge);
  EXPECT_TRUE(std::isnan(s.sweeps[0].means[2]));
}

TEST(Sweep, MistakesAreNamed) {
  const std::vector<Entrant> one = {{"a", {"norm=rms_norm"}}};
  for (const auto& [rates, word] :
       std::vector<std::pair<std::string, std::string>>{{"1e-3", "two or more"},
                                                        {"1e-3,x", "positive"},
                                                        {"1e-3,-1", "positive"},
                                                        {"1e-3,,2e-3", "positive"},
                                                        {"1e-3,0.001", "twice"}}) {
    EXPECT_NE(user_error([&, r = rates] { at_learning_rates(one, r); }).find(word), std::string::npos)
        << rates;
  }
  EXPECT_NE(user_error([] {
              at_learning_rates({{"a", {"norm=rms_norm", "lr=1"}}}, "1,2");
            }).find("sets lr"),
            std::string::npos);
}

TEST(Noise, EqualEntrantsMeasureIt) {
  const std::vector<Entrant> entrants = {
      {"a", {"norm=rms_norm"}}, {"again", {"norm=rms_norm", "seed_shift=7"}}, {"b", {"norm=seed_norm"}}};
  EXPECT_EQ(entrants[1].seed_shift(), 7);
  EXPECT_EQ(entrants[1].training_settings(), entrants[0].settings);
  const std::vector<double> noise = {0.1, -0.2, 0.05};
  const RaceSummary s = summarize("", race_of(entrants, 3, [&](const Entrant& e, int seed) {
                                    return e.label == "again" ? 2 + noise[static_cast<size_t>(seed)] : 2;
                                  }));
  ASSERT_EQ(s.noise.size(), 1U);
  EXPECT_EQ(s.noise[0].b, "again");
  EXPECT_NEAR(s.noise[0].floor, 0.24306335148491892, 1e-9);
  EXPECT_NE(user_error([] {
              (void)Entrant{"x", {"seed_shift=-1"}}.seed_shift();
            }).find("whole number"),
            std::string::npos);
}

// Over races in which nothing differs, a difference is claimed in 5% of single pairs, and, after Holm's
// correction, in at most 5% of races of any number of entrants. Without it more than twice as many races
// would claim one. The bounds are three standard deviations of a proportion of 4,000.
TEST(FalsePositives, OfRacesOfEqualEntrants) {
  std::vector<Entrant> entrants;
  for (const char* label : {"a", "b", "c", "d"}) entrants.push_back({label, {std::string("norm=") + label}});
  std::mt19937_64 bits(1);
  const auto normal = [&] {  // Box and Muller; the standard library's own differs between libraries
    const auto uniform = [&] { return (static_cast<double>(bits() >> 11) + 0.5) / 9007199254740992.0; };
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(2 * 3.14159265358979323846 * uniform());
  };
  constexpr int kRaces = 4000, kSeeds = 5;
  int single = 0, any = 0, any_corrected = 0, above_floor = 0;
  for (int k = 0; k < kRaces; ++k) {
    std::vector<double> of_seed;
    for (int seed = 0; seed < kSeeds; ++seed) of_seed.push_back(normal());
    const RaceSummary s = summarize("", race_of(entrants, kSeeds, [&](const Entrant&, int seed) {
                                      return of_seed[static_cast<size_t>(seed)] + 0.3 * normal();
                                    }));
    single += *s.pairs[0].p < 0.05 ? 1 : 0;
    bool is_any = false, is_corrected = false;
    for (const PairSummary& pair : s.pairs) {
      is_any = is_any || *pair.p < 0.05;
      is_corrected = is_corrected || *pair.p_holm < 0.05;
    }
    any += is_any ? 1 : 0;
    any_corrected += is_corrected ? 1 : 0;
    // The noise floor of one pair of equal entrants bounds the difference of another one.
    std::vector<double> one, other;
    for (int seed = 0; seed < kSeeds; ++seed) {
      one.push_back(normal() - normal());
      other.push_back(normal() - normal());
    }
    above_floor += std::fabs(mean_estimate(other).mean) > noise_floor(one) ? 1 : 0;
  }
  const double deviation = 3 * std::sqrt(0.05 * 0.95 / kRaces);
  EXPECT_NEAR(single / static_cast<double>(kRaces), 0.05, deviation);
  EXPECT_NEAR(above_floor / static_cast<double>(kRaces), 0.05, deviation);
  EXPECT_LE(any_corrected / static_cast<double>(kRaces), 0.05 + deviation);
  EXPECT_GE(any_corrected, 1);
  EXPECT_GT(any / static_cast<double>(kRaces), 0.1);
}

}  // namespace
}  // namespace seednorm::lab
