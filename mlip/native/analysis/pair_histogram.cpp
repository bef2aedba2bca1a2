// Histogram of the distances of all ordered pairs of atoms of a periodic cell, by the species of the two.
//
// Images of atoms within the cutoff of the cell stand beside it as atoms of their own, so that a cutoff may
// exceed the cell; all are sorted into a grid of boxes half a cutoff wide, and rows of boxes that
// follow each other in memory are searched as one.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <new>
#include <vector>

namespace {

// Boxes along a cutoff: finer boxes hold fewer atoms out of reach, and cost more to visit.
constexpr int kBoxes = 2;

using Vector = std::array<double, 3>;

struct Points {
  std::vector<Vector> fractional;
  std::vector<int> species;
};

// Atoms of the cell first, then their images within `reach` (fractional) of it.
Points surround(const double* fractional, const int* species, int64_t count, const Vector& reach) {
  Points points;
  for (int64_t atom = 0; atom < count; ++atom) {
    points.fractional.push_back({fractional[3 * atom], fractional[3 * atom + 1], fractional[3 * atom + 2]});
    points.species.push_back(species[atom]);
  }
  for (int axis = 0; axis < 3; ++axis) {
    const int span = static_cast<int>(std::ceil(reach[axis]));
    const size_t present = points.fractional.size();
    for (size_t each = 0; each < present; ++each) {
      for (int shift = -span; shift <= span; ++shift) {
        Vector image = points.fractional[each];
        image[axis] += shift;
        if (shift == 0 || image[axis] < -reach[axis] || image[axis] > 1.0 + reach[axis]) continue;
        points.fractional.push_back(image);
        points.species.push_back(points.species[each]);
      }
    }
  }
  return points;
}

// Points in the order of the boxes they are in, as Cartesian columns.
struct Grid {
  std::array<int, 3> boxes;
  std::vector<int64_t> starts;
  std::vector<double> x, y, z;
  std::vector<int> species;
};

int box_along(double fractional, double reach, int boxes) {
  const int box = static_cast<int>((fractional + reach) / (1.0 + 2.0 * reach) * boxes);
  return std::clamp(box, 0, boxes - 1);
}

int64_t box_of(const Grid& grid, const Vector& fractional, const Vector& reach) {
  int64_t box = 0;
  for (int axis = 0; axis < 3; ++axis)
    box = box * grid.boxes[axis] + box_along(fractional[axis], reach[axis], grid.boxes[axis]);
  return box;
}

Grid sort_into_boxes(const Points& points, const double* cell, const Vector& reach) {
  Grid grid;
  Vector finest;
  for (int axis = 0; axis < 3; ++axis) finest[axis] = kBoxes * (1.0 + 2.0 * reach[axis]) / reach[axis];
  // where there is more vacuum than atoms, boxes are coarser
  const double room = 8.0 * points.species.size() / (finest[0] * finest[1] * finest[2]);
  const double coarser = std::min(1.0, std::cbrt(room));
  for (int axis = 0; axis < 3; ++axis)
    grid.boxes[axis] = std::max(1, static_cast<int>(std::min(coarser * finest[axis], 1e5)));
  const int64_t num_boxes = int64_t(grid.boxes[0]) * grid.boxes[1] * grid.boxes[2];
  const size_t count = points.fractional.size();
  std::vector<int64_t> box(count);
  grid.starts.assign(num_boxes + 1, 0);
  for (size_t each = 0; each < count; ++each) {
    box[each] = box_of(grid, points.fractional[each], reach);
    ++grid.starts[box[each] + 1];
  }
  for (int64_t each = 0; each < num_boxes; ++each) grid.starts[each + 1] += grid.starts[each];
  std::vector<int64_t> next(grid.starts.begin(), grid.starts.end() - 1);
  for (auto* column : {&grid.x, &grid.y, &grid.z}) column->resize(count);
  grid.species.resize(count);
  for (size_t each = 0; each < count; ++each) {
    const int64_t place = next[box[each]]++;
    const Vector& f = points.fractional[each];
    grid.x[place] = f[0] * cell[0] + f[1] * cell[3] + f[2] * cell[6];
    grid.y[place] = f[0] * cell[1] + f[1] * cell[4] + f[2] * cell[7];
    grid.z[place] = f[0] * cell[2] + f[1] * cell[5] + f[2] * cell[8];
    grid.species[place] = points.species[each];
  }
  return grid;
}

}  // namespace

// fractional: (count, 3) in [0, 1]; species: (count) in [0, num_species); cell: (3, 3), rows are vectors;
// reach: cutoff in units of the distance of opposite faces; counts: (num_species, num_species, num_bins).
// Returns 0, or 1 where there is not enough memory.
extern "C" int vitreous_pair_histogram(int64_t count, const double* fractional, const int* species,
                                       int num_species, const double* cell, const double* reach_of,
                                       double r_max, int num_bins, int64_t* counts) {
  try {
    const Vector reach = {reach_of[0], reach_of[1], reach_of[2]};
    const Grid grid = sort_into_boxes(surround(fractional, species, count, reach), cell, reach);
    const double limit = r_max * r_max, per_bin = num_bins / r_max;
    std::vector<double> squares;
    for (int64_t atom = 0; atom < count; ++atom) {
      const double* f = fractional + 3 * atom;
      const double x = f[0] * cell[0] + f[1] * cell[3] + f[2] * cell[6];
      const double y = f[0] * cell[1] + f[1] * cell[4] + f[2] * cell[7];
      const double z = f[0] * cell[2] + f[1] * cell[5] + f[2] * cell[8];
      std::array<int, 3> low, high;
      for (int axis = 0; axis < 3; ++axis) {
        low[axis] = box_along(f[axis] - reach[axis], reach[axis], grid.boxes[axis]);
        high[axis] = box_along(f[axis] + reach[axis], reach[axis], grid.boxes[axis]);
      }
      int64_t* rows = counts + int64_t(species[atom]) * num_species * num_bins;
      for (int a = low[0]; a <= high[0]; ++a) {
        for (int b = low[1]; b <= high[1]; ++b) {
          const int64_t row = (int64_t(a) * grid.boxes[1] + b) * grid.boxes[2];
          const int64_t first = grid.starts[row + low[2]], last = grid.starts[row + high[2] + 1];
          const int64_t length = last - first;
          if (int64_t(squares.size()) < length) squares.resize(length);
          for (int64_t k = 0; k < length; ++k) {
            const double dx = grid.x[first + k] - x, dy = grid.y[first + k] - y, dz = grid.z[first + k] - z;
            squares[k] = dx * dx + dy * dy + dz * dz;
          }
          for (int64_t k = 0; k < length; ++k) {
            if (squares[k] >= limit) continue;
            const int bin = static_cast<int>(std::sqrt(squares[k]) * per_bin);
            ++rows[int64_t(grid.species[first + k]) * num_bins + std::min(bin, num_bins - 1)];
          }
        }
      }
      // the atom found itself, at distance zero
      --rows[int64_t(species[atom]) * num_bins];
    }
  } catch (const std::bad_alloc&) {
    return 1;
  }
  return 0;
}
